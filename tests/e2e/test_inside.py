"""What a task finds inside itself: its metadata, its role's credentials and the way to the AWS APIs."""

import json

import pytest

import python_image
from conftest import WORLD, address_of, awsvpc, register, wait_for, wait_for_status

CLUSTER = "inside"
ROLE = "arn:aws:iam::123456789012:role/apps/Page"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


@pytest.fixture(scope="module")
def ecs(server):
    client = server.client("ecs")
    client.create_cluster(clusterName=CLUSTER)
    iam = server.client("iam")
    iam.create_role(RoleName="Page", Path="/apps/", AssumeRolePolicyDocument=json.dumps(TRUST))
    folder = WORLD / "python"
    folder.mkdir()
    server.image(python_image.build(folder), "python:latest")
    return client


def define(ecs, family, *words, role=ROLE, **more):
    container = {"name": "app", "image": "python:latest", "command": list(words), **more}
    answer = ecs.register_task_definition(
        family=family,
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        containerDefinitions=[container],
        executionRoleArn="arn:aws:iam::123456789012:role/ecsTaskExecutionRole",
        **({"taskRoleArn": role} if role else {}),
    )
    return answer["taskDefinition"]["taskDefinitionArn"]


def run(ecs, network, definition, **more):
    answer = ecs.run_task(
        cluster=CLUSTER, taskDefinition=definition, launchType="FARGATE", networkConfiguration=awsvpc(network), **more
    )
    assert not answer["failures"]
    return answer["tasks"][0]["taskArn"]


BOTO = """
import boto3, json
sts = boto3.client("sts").get_caller_identity()
ecs = boto3.client("ecs").list_clusters()
print(json.dumps({"arn": sts["Arn"], "id": sts["UserId"], "clusters": ecs["clusterArns"]}))
"""


def test_a_plain_boto3_calls_sts_and_ecs_through_the_tasks_role(server, ecs, network):
    server.client("logs").create_log_group(logGroupName="/boto")
    options = {"awslogs-group": "/boto", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p"}
    definition = define(ecs, "boto", "-c", BOTO, logConfiguration={"logDriver": "awslogs", "options": options})
    arn = run(ecs, network, definition)
    task = wait_for_status(ecs, CLUSTER, arn, "STOPPED")
    stream = f"p/app/{arn.rsplit('/', 1)[1]}"
    logs = server.client("logs")
    events = wait_for(lambda: logs.get_log_events(logGroupName="/boto", logStreamName=stream)["events"], "lines")
    text = "\n".join(each["message"] for each in events)
    assert task["containers"][0]["exitCode"] == 0, text
    told = json.loads(text)
    task_id = arn.rsplit("/", 1)[1]
    assert told["arn"] == f"arn:aws:sts::123456789012:assumed-role/Page/{task_id}"
    assert told["id"].startswith("AROA") and told["id"].endswith(f":{task_id}")
    assert told["clusters"] == [f"arn:aws:ecs:us-east-1:123456789012:cluster/{CLUSTER}"]
