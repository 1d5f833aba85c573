#!/usr/bin/env bash
# Stops one task of the service, as the experiment asks for.
. "$(dirname "$0")/names.sh"
need_variables
task=$(aws ecs list-tasks --cluster "$lab" --service-name "$lab" --desired-status RUNNING --query 'taskArns[0]' --output text)
if [ "$task" = None ]; then
  echo "the service has no running task" >&2
  exit 1
fi
aws ecs stop-task --cluster "$lab" --task "$task" --reason "resilience lab" --query 'task.taskArn' --output text
