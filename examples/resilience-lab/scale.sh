#!/usr/bin/env bash
# Sets the number of tasks and waits until they serve: scale.sh 2
. "$(dirname "$0")/names.sh"
need_variables
aws ecs update-service --cluster "$lab" --service "$lab" --desired-count "${1:?how many tasks?}" \
  --query 'service.desiredCount' --output text
aws ecs wait services-stable --cluster "$lab" --services "$lab"
