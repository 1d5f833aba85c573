"""Stacks: a load-balanced service from one template, with the AWS CLI and boto3, through failures and kills."""

import json
import random
import time

import botocore.exceptions
import pytest

from conftest import WORLD, Load, wait_for

TEMPLATE = """
Parameters:
  Version: {{Type: String, Default: one}}
  Image: {{Type: String, Default: 'app:latest'}}
  DesiredCount: {{Type: Number, Default: 1}}
Resources:
  Vpc: {{Type: AWS::EC2::VPC, Properties: {{CidrBlock: {net}.0.0/16, EnableDnsHostnames: true}}}}
  Gateway: {{Type: AWS::EC2::InternetGateway}}
  Attachment: {{Type: AWS::EC2::VPCGatewayAttachment, Properties: {{VpcId: !Ref Vpc, InternetGatewayId: !Ref Gateway}}}}
  SubnetA:
    Type: AWS::EC2::Subnet
    Properties: {{VpcId: !Ref Vpc, CidrBlock: {net}.1.0/24, AvailabilityZone: !Select [0, !GetAZs '']}}
  SubnetB:
    Type: AWS::EC2::Subnet
    Properties: {{VpcId: !Ref Vpc, CidrBlock: {net}.2.0/24, AvailabilityZone: !Select [1, !GetAZs '']}}
  Routes: {{Type: AWS::EC2::RouteTable, Properties: {{VpcId: !Ref Vpc}}}}
  Out:
    Type: AWS::EC2::Route
    DependsOn: Attachment
    Properties: {{RouteTableId: !Ref Routes, DestinationCidrBlock: 0.0.0.0/0, GatewayId: !Ref Gateway}}
  RoutesOfA: {{Type: AWS::EC2::SubnetRouteTableAssociation, Properties: {{SubnetId: !Ref SubnetA, RouteTableId: !Ref Routes}}}}
  RoutesOfB: {{Type: AWS::EC2::SubnetRouteTableAssociation, Properties: {{SubnetId: !Ref SubnetB, RouteTableId: !Ref Routes}}}}
  Front:
    Type: AWS::EC2::SecurityGroup
    Properties:
      GroupDescription: the load balancer
      VpcId: !Ref Vpc
      SecurityGroupIngress: [{{IpProtocol: tcp, FromPort: '80', ToPort: '80', CidrIp: 0.0.0.0/0}}]
  Back:
    Type: AWS::EC2::SecurityGroup
    Properties:
      GroupDescription: the tasks
      VpcId: !Ref Vpc
      SecurityGroupIngress: [{{IpProtocol: tcp, FromPort: 8000, ToPort: 8000, SourceSecurityGroupId: !Ref Front}}]
  Balancer:
    Type: AWS::ElasticLoadBalancingV2::LoadBalancer
    Properties: {{Subnets: [!Ref SubnetA, !Ref SubnetB], SecurityGroups: [!Ref Front]}}
  Group:
    Type: AWS::ElasticLoadBalancingV2::TargetGroup
    Properties: {{VpcId: !Ref Vpc, Port: '80', Protocol: HTTP, TargetType: ip, HealthCheckPath: /}}
  Listener:
    Type: AWS::ElasticLoadBalancingV2::Listener
    Properties:
      LoadBalancerArn: !Ref Balancer
      Port: 80
      Protocol: HTTP
      DefaultActions: [{{Type: forward, TargetGroupArn: !Ref Group}}]
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Statement: [{{Effect: Allow, Principal: {{Service: ecs-tasks.amazonaws.com}}, Action: 'sts:AssumeRole'}}]
  Cluster: {{Type: AWS::ECS::Cluster}}
  Definition:
    Type: AWS::ECS::TaskDefinition
    Properties:
      RequiresCompatibilities: [FARGATE]
      NetworkMode: awsvpc
      Cpu: 256
      Memory: 512
      ExecutionRoleArn: !GetAtt Role.Arn
      ContainerDefinitions:
        - Name: app
          Image: !Ref Image
          Command: [serve, '8000']
          Essential: 'true'
          PortMappings: [{{ContainerPort: '8000'}}]
          Environment: [{{Name: VERSION, Value: !Ref Version}}]
  Service:
    Type: AWS::ECS::Service
    DependsOn: Listener
    Properties:
      Cluster: !Ref Cluster
      TaskDefinition: !Ref Definition
      DesiredCount: !Ref DesiredCount
      LaunchType: FARGATE
      DeploymentConfiguration: {{DeploymentCircuitBreaker: {{Enable: true, Rollback: false}}}}
      NetworkConfiguration:
        AwsvpcConfiguration: {{AssignPublicIp: ENABLED, Subnets: [!Ref SubnetA, !Ref SubnetB], SecurityGroups: [!Ref Back]}}
      LoadBalancers: [{{ContainerName: app, ContainerPort: 8000, TargetGroupArn: !Ref Group}}]
Outputs:
  Name: {{Value: !GetAtt Balancer.DNSName}}
  Url: {{Value: !Sub 'http://${{Balancer.DNSName}}'}}
"""

KINDS = {
    "ec2": [("describe_vpcs", "Vpcs"), ("describe_subnets", "Subnets"), ("describe_internet_gateways", "InternetGateways"),
            ("describe_route_tables", "RouteTables"), ("describe_security_groups", "SecurityGroups")],
    "elbv2": [("describe_load_balancers", "LoadBalancers"), ("describe_target_groups", "TargetGroups")],
    "ecs": [("list_clusters", "clusterArns"), ("list_task_definitions", "taskDefinitionArns")],
    "iam": [("list_roles", "Roles")],
}  # fmt: skip


def inventory(server):
    """How many things of each kind there are."""
    counts = {}
    for service, calls in KINDS.items():
        client = server.client(service)
        for call, member in calls:
            found = getattr(client, call)()[member]
            counts[member] = len([each for each in found if "AWSServiceRole" not in str(each)])
    return counts


def file(name, text):
    path = WORLD / name
    path.write_text(text)
    return path


def events(cloudformation, stack):
    found = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
    return [f"{e['LogicalResourceId']} {e['ResourceStatus']} {e.get('ResourceStatusReason', '')}".strip() for e in reversed(found)]


def outputs(cloudformation, stack):
    found = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["Outputs"]
    return {each["OutputKey"]: each["OutputValue"] for each in found}


def cluster_tags(server, stack):
    """The tags of the stack's cluster."""
    cloudformation, ecs = server.client("cloudformation"), server.client("ecs")
    found = cloudformation.describe_stack_resource(StackName=stack, LogicalResourceId="Cluster")["StackResourceDetail"]
    arn = f"arn:aws:ecs:us-east-1:123456789012:cluster/{found['PhysicalResourceId']}"
    return {each["key"]: each["value"] for each in ecs.list_tags_for_resource(resourceArn=arn)["tags"]}


def settled(server, stack, seconds=120):
    """The stack's status when nothing is in progress any more; the API may be away meanwhile."""

    def status():
        try:
            found = server.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
        except botocore.exceptions.ClientError as error:
            return "GONE" if "does not exist" in str(error) else None
        except botocore.exceptions.BotoCoreError:
            return None
        return None if found.endswith("_IN_PROGRESS") else found

    return wait_for(status, f"stack {stack} is settled", seconds)


def test_the_whole_life_under_load(server):
    cloudformation = server.client("cloudformation")
    before = inventory(server)
    template = file("life.yaml", TEMPLATE.format(net="10.10"))
    deploy = ["cloudformation", "deploy", "--stack-name", "life", "--template-file", template, "--capabilities", "CAPABILITY_IAM"]
    server.aws(*deploy, "--tags", "team=shop")
    assert cluster_tags(server, "life")["team"] == "shop"
    made = inventory(server)
    assert made["Vpcs"] == before["Vpcs"] + 1 and made["LoadBalancers"] == before["LoadBalancers"] + 1
    name = outputs(cloudformation, "life")["Name"]
    # Again without a change.
    assert "No changes to deploy" in server.aws(*deploy, "--tags", "team=shop", check=False).stderr
    first = cloudformation.describe_stack_resource(StackName="life", LogicalResourceId="Definition")
    with Load(name, users=5) as load:
        server.aws(*deploy, "--parameter-overrides", "Version=two")
        load.wait_for_requests(50)
        assert load.failures == []
        second = cloudformation.describe_stack_resource(StackName="life", LogicalResourceId="Definition")
        ids = [each["StackResourceDetail"]["PhysicalResourceId"] for each in (first, second)]
        assert ids[0] != ids[1], "the task definition was replaced"
        assert inventory(server) == made, "what was replaced is gone"
        # A version whose image is not there: the breaker stops it, and the stack goes back.
        broken = server.aws(*deploy, "--parameter-overrides", "Image=nowhere.invalid/app:none", check=False)
        assert broken.returncode != 0
        assert settled(server, "life", 300) == "UPDATE_ROLLBACK_COMPLETE", events(cloudformation, "life")
        told = events(cloudformation, "life")
        assert any("Service UPDATE_FAILED" in line and "Circuit Breaker" in line for line in told), told
        load.wait_for_requests(50)
        assert load.failures == []
    third = cloudformation.describe_stack_resource(StackName="life", LogicalResourceId="Definition")
    assert third["StackResourceDetail"]["PhysicalResourceId"] == ids[1]
    assert inventory(server) == made
    # Without `--tags` the CLI sends an empty list, which takes the stack's tags away, and CloudFormation's stay.
    tags = cluster_tags(server, "life")
    assert tags["aws:cloudformation:stack-name"] == "life" and "team" not in tags
    server.aws("cloudformation", "delete-stack", "--stack-name", "life")
    server.aws("cloudformation", "wait", "stack-delete-complete", "--stack-name", "life")
    assert inventory(server) == before


def test_create_stack_and_wait(server):
    before = inventory(server)
    body = file("plain.yaml", TEMPLATE.format(net="10.11"))
    words = ["--stack-name", "plain"]
    server.aws("cloudformation", "create-stack", *words, "--template-body", f"file://{body}", "--capabilities", "CAPABILITY_IAM")
    server.aws("cloudformation", "wait", "stack-create-complete", *words)
    shown = server.aws("cloudformation", "describe-stacks", *words)["Stacks"][0]
    assert shown["StackStatus"] == "CREATE_COMPLETE"
    update = ["--use-previous-template", "--parameters", "ParameterKey=DesiredCount,ParameterValue=2"]
    server.aws("cloudformation", "update-stack", *words, *update, "--capabilities", "CAPABILITY_IAM")
    server.aws("cloudformation", "wait", "stack-update-complete", *words)
    server.aws("cloudformation", "delete-stack", *words)
    server.aws("cloudformation", "wait", "stack-delete-complete", *words)
    assert inventory(server) == before


@pytest.mark.parametrize("seed", [1, 2])
def test_control_is_killed_again_and_again(server, seed):
    chance, net, name = random.Random(seed), f"10.{20 + seed}", f"killed-{seed}"
    before = inventory(server)
    template = TEMPLATE.format(net=net)

    def killing(start):
        """Kills `control` at random moments of an operation until it is done."""
        start(server.client("cloudformation"))
        for _ in range(8):
            time.sleep(chance.uniform(0.02, 0.4))
            if server.pids("control"):
                server.kill("control")
            wait_for(lambda: answers(server), "control is back")
        return settled(server, name, 300)

    created = killing(
        lambda client: client.create_stack(StackName=name, TemplateBody=template, Capabilities=["CAPABILITY_IAM"])
    )
    cloudformation = server.client("cloudformation")
    assert created == "CREATE_COMPLETE", events(cloudformation, name)
    made = inventory(server)
    assert made["Vpcs"] == before["Vpcs"] + 1 and made["clusterArns"] == before["clusterArns"] + 1
    assert made["SecurityGroups"] == before["SecurityGroups"] + 3 and made["Roles"] == before["Roles"] + 1
    updated = killing(
        lambda client: client.update_stack(
            StackName=name,
            UsePreviousTemplate=True,
            Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": "Version", "ParameterValue": "two"}],
        )
    )
    assert updated == "UPDATE_COMPLETE", events(cloudformation, name)
    assert inventory(server) == made
    assert killing(lambda client: client.delete_stack(StackName=name)) == "GONE"
    assert inventory(server) == before


def answers(server):
    try:
        return server.client("cloudformation").list_stacks()
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
        return None


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)
REFUSED = [
    ("Resources:\n  A: {Type: AWS::ECS::Cluster, DependsOn: B}\n  B: {Type: AWS::ECS::Cluster, DependsOn: A}\n",
     "Circular dependency between resources: [A, B]"),
    ("Resources: {A: {Type: AWS::Nothing::Here}}", "Unrecognized resource types: [AWS::Nothing::Here]"),
    ("Parameters: {P: {Type: String}}\nResources: {A: {Type: AWS::ECS::Cluster}}", "Parameters: [P] must have values"),
    ("Resources: {A: {Type: AWS::ECS::Cluster}}\n#" + "x" * 51_200, "Member must have length less than or equal to 51200"),
    (json.dumps({"Resources": {"A": {"Type": "AWS::ECS::Cluster"}}, "Metadata": None}).replace("null", "[" * 5000 + "]" * 5000),
     "Template"),
    (BOMB + "Resources: {A: {Type: AWS::ECS::Cluster}}", "Template"),
]  # fmt: skip


@pytest.mark.parametrize("body, wording", REFUSED, ids=["cycle", "type", "parameter", "long", "deep", "bomb"])
def test_what_cannot_be_is_refused(server, body, wording):
    before, cloudformation = inventory(server), server.client("cloudformation")
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        cloudformation.create_stack(StackName="refused", TemplateBody=body)
    assert refused.value.response["Error"]["Code"] == "ValidationError"
    assert wording in refused.value.response["Error"]["Message"]
    assert inventory(server) == before


@pytest.mark.parametrize(
    "body, wording",
    [
        ("Resources: {C: {Type: AWS::ECS::Cluster}, V: {Type: AWS::EC2::VPC, Properties: {CidrBlock: 10.0.0.0/16, Color: red}}}",
         "extraneous key [Color] is not permitted"),
        ("Resources: {C: {Type: AWS::ECS::Cluster, Properties: {ClusterName: !ImportValue nothing}}}", "No export named nothing found"),
    ],
    ids=["property", "import"],
)  # fmt: skip
def test_what_fails_before_anything_is_made(server, body, wording):
    before, cloudformation = inventory(server), server.client("cloudformation")
    cloudformation.create_stack(StackName="early", TemplateBody=body)
    assert settled(server, "early") == "ROLLBACK_COMPLETE"
    told = events(cloudformation, "early")
    assert any(wording in line for line in told), told
    assert not any("Resource creation Initiated" in line for line in told), told
    assert inventory(server) == before
    cloudformation.delete_stack(StackName="early")
    assert settled(server, "early") == "GONE"
