#!/usr/bin/env bash
# Creates the system with AWS's own CLI (version 1 or 2): a cluster, a task definition for Fargate, a load balancer, a service
# of one task.
. "$(dirname "$0")/names.sh"
need_variables
export AWS_PAGER=""
text() { aws "$@" --output text; }

say "default VPC"
vpc=$(text ec2 describe-vpcs --filters Name=isDefault,Values=true --query 'Vpcs[0].VpcId')
read -r -a subnets <<<"$(text ec2 describe-subnets \
  --filters "Name=vpc-id,Values=$vpc" Name=default-for-az,Values=true --query 'Subnets[].SubnetId')"
echo "    $vpc: ${subnets[*]}"

say "security groups: 80 from anywhere to the load balancer, 8000 from the load balancer to the tasks"
alb_sg=$(text ec2 create-security-group --group-name "$alb_group" --description "resilience-lab load balancer" \
  --vpc-id "$vpc" --query GroupId)
aws ec2 authorize-security-group-ingress --group-id "$alb_sg" --protocol tcp --port 80 --cidr 0.0.0.0/0 >/dev/null
task_sg=$(text ec2 create-security-group --group-name "$task_group" --description "resilience-lab tasks" \
  --vpc-id "$vpc" --query GroupId)
aws ec2 authorize-security-group-ingress --group-id "$task_sg" --protocol tcp --port 8000 --source-group "$alb_sg" >/dev/null

say "execution role"
role_arn=$(text iam create-role --role-name "$role" --query Role.Arn --assume-role-policy-document '{
  "Version": "2012-10-17",
  "Statement": [{"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}]
}')
aws iam attach-role-policy --role-name "$role" \
  --policy-arn arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy

say "cluster and task definition"
aws ecs create-cluster --cluster-name "$lab" >/dev/null
task_definition=$(text ecs register-task-definition --family "$lab" \
  --requires-compatibilities FARGATE --network-mode awsvpc --cpu 256 --memory 512 --execution-role-arn "$role_arn" \
  --container-definitions "[{
    \"name\": \"page\", \"image\": \"$image\", \"essential\": true,
    \"portMappings\": [{\"containerPort\": 8000, \"protocol\": \"tcp\"}]
  }]" --query taskDefinition.taskDefinitionArn)

say "load balancer, target group, listener"
load_balancer=$(text elbv2 create-load-balancer --name "$lab" --subnets "${subnets[@]}" --security-groups "$alb_sg" \
  --query 'LoadBalancers[0].LoadBalancerArn')
target_group=$(text elbv2 create-target-group --name "$lab" --protocol HTTP --port 80 --vpc-id "$vpc" --target-type ip \
  --health-check-path / --query 'TargetGroups[0].TargetGroupArn')
aws elbv2 create-listener --load-balancer-arn "$load_balancer" --protocol HTTP --port 80 \
  --default-actions "Type=forward,TargetGroupArn=$target_group" >/dev/null

say "service with one task"
all_subnets=$(IFS=,; echo "${subnets[*]}")
aws ecs create-service --cluster "$lab" --service-name "$lab" --task-definition "$task_definition" \
  --desired-count 1 --launch-type FARGATE \
  --network-configuration "awsvpcConfiguration={subnets=[$all_subnets],securityGroups=[$task_sg],assignPublicIp=ENABLED}" \
  --load-balancers "targetGroupArn=$target_group,containerName=page,containerPort=8000" >/dev/null

say "waiting until the service is stable"
aws ecs wait services-stable --cluster "$lab" --services "$lab"
"$(dirname "$0")/url.sh"
