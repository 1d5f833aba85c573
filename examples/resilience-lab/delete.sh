#!/usr/bin/env bash
# Deletes all that create.sh makes; what is not there is passed over, so that it also clears up after a create.sh that failed.
. "$(dirname "$0")/names.sh"
need_variables
export AWS_PAGER=""
text() { aws "$@" --output text 2>/dev/null || true; }
there() { [ -n "$1" ] && [ "$1" != None ]; }

if there "$(text ecs describe-services --cluster "$lab" --services "$lab" --query "services[?status=='ACTIVE'].serviceArn")"; then
  say "service"
  aws ecs update-service --cluster "$lab" --service "$lab" --desired-count 0 >/dev/null
  aws ecs delete-service --cluster "$lab" --service "$lab" --force >/dev/null
  aws ecs wait services-inactive --cluster "$lab" --services "$lab"
fi

load_balancer=$(text elbv2 describe-load-balancers --names "$lab" --query 'LoadBalancers[0].LoadBalancerArn')
if there "$load_balancer"; then
  say "load balancer"
  for listener in $(text elbv2 describe-listeners --load-balancer-arn "$load_balancer" --query 'Listeners[].ListenerArn'); do
    aws elbv2 delete-listener --listener-arn "$listener"
  done
  aws elbv2 delete-load-balancer --load-balancer-arn "$load_balancer"
  aws elbv2 wait load-balancers-deleted --load-balancer-arns "$load_balancer"
fi
target_group=$(text elbv2 describe-target-groups --names "$lab" --query 'TargetGroups[0].TargetGroupArn')
if there "$target_group"; then
  say "target group"
  aws elbv2 delete-target-group --target-group-arn "$target_group"
fi

for definition in $(text ecs list-task-definitions --family-prefix "$lab" --status ACTIVE --query 'taskDefinitionArns[]'); do
  there "$definition" || continue
  say "task definition ${definition##*/}"
  aws ecs deregister-task-definition --task-definition "$definition" >/dev/null
done
if there "$(text ecs describe-clusters --clusters "$lab" --query "clusters[?status=='ACTIVE'].clusterArn")"; then
  say "cluster"
  aws ecs delete-cluster --cluster "$lab" >/dev/null
fi

# The tasks' group first: it refers to the load balancer's.
for name in "$task_group" "$alb_group"; do
  group=$(text ec2 describe-security-groups --filters "Name=group-name,Values=$name" --query 'SecurityGroups[0].GroupId')
  if there "$group"; then
    say "security group $name"
    aws ec2 delete-security-group --group-id "$group" >/dev/null
  fi
done
if there "$(text iam get-role --role-name "$role" --query Role.RoleName)"; then
  say "execution role"
  aws iam detach-role-policy --role-name "$role" \
    --policy-arn arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy 2>/dev/null || true
  aws iam delete-role --role-name "$role"
fi
