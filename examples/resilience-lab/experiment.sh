#!/usr/bin/env bash
# The experiment of the README in one go: ten virtual users for 30 seconds, one task stopped in the middle.
# Usage: experiment.sh [TASKS]
. "$(dirname "$0")/names.sh"
need_variables
here=$lab_dir
tasks=${1:-1}
say "$tasks task(s)"
"$here/scale.sh" "$tasks" >/dev/null
url=$("$here/url.sh")
say "10 virtual users for 30 s at $url; one task is stopped after 10 s"
(sleep 10 && say "stopping a task" && "$here/stop-task.sh") &
stopper=$!
trap 'kill "$stopper" 2>/dev/null || true' EXIT
status=0
"$gantry" load "$url" --vus 10 --sleep 1s --duration 30s --threshold 'http_req_failed==0%' || status=$?
wait "$stopper"
exit "$status"
