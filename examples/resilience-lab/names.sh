# Names that the scripts share. Source it.
set -euo pipefail
lab=resilience-lab
alb_group=$lab-alb
task_group=$lab-task
role=$lab-execution
image=$lab:latest

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }

need_variables() {
  if [ -z "${AWS_ENDPOINT_URL:-}" ]; then
    cat >&2 <<'TEXT'
AWS_ENDPOINT_URL is not set, so this would go to AWS itself.
next: eval $(gantry env)
TEXT
    exit 1
  fi
}
