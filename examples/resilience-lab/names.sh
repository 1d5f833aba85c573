# Names that the scripts share. Source it.
set -euo pipefail
lab=resilience-lab
alb_group=$lab-alb
task_group=$lab-task
role=$lab-execution
image=$lab:latest

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }

lab_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root_dir=$(cd "$lab_dir/../.." && pwd)
gantry=${GANTRY:-$root_dir/target/release/gantry}
# The server runs as root, and so its keys are root's unless sudo started it.
sudo=""
[ "$(id -u)" = 0 ] || sudo="sudo"

# The AWS CLI that was installed here, and the endpoint of this machine's server unless another one is set.
if [ -x "$root_dir/target/venv/bin/aws" ]; then
  PATH=$root_dir/target/venv/bin:$PATH
fi
need_variables() {
  if ! command -v aws >/dev/null; then
    say "installing the AWS CLI into target/venv"
    python3 -m venv "$root_dir/target/venv"
    "$root_dir/target/venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$lab_dir/requirements.txt"
    PATH=$root_dir/target/venv/bin:$PATH
  fi
  if [ -z "${AWS_ENDPOINT_URL:-}" ]; then
    variables=$("$gantry" env 2>/dev/null || $sudo "$gantry" env)
    eval "$variables"
  fi
}
