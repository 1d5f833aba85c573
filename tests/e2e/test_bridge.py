"""The launch type EC2 on this machine: `bridge`, `host` and `none`, dynamic host ports, instances as targets."""

import os
import signal

import pytest

from conftest import ENDPOINT, Load, LoadBalanced, task_of, wait_for, wait_for_status

CLUSTER = "instances"
DYNAMIC = range(32768, 61000)


@pytest.fixture(scope="module")
def ecs(server):
    client = server.client("ecs")
    client.create_cluster(clusterName=CLUSTER)
    return client


@pytest.fixture(scope="module")
def open_default(server, network):
    """The machine lent to a cluster is in its VPC's default group: let load balancers of other groups in."""
    ec2 = server.client("ec2")
    filters = [{"Name": "vpc-id", "Values": [network["vpc"]]}, {"Name": "group-name", "Values": ["default"]}]
    group = ec2.describe_security_groups(Filters=filters)["SecurityGroups"][0]["GroupId"]
    ec2.authorize_security_group_ingress(
        GroupId=group,
        IpPermissions=[{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": network["group"]}]}],
    )


def define(ecs, family, *commands, mode="bridge", ports=({"containerPort": 8000, "hostPort": 0},), containers=None, **more):
    container = {"name": "app", "image": "app:latest", "memory": 64, "cpu": 64, "command": list(commands) or ["serve", "8000"]}
    container["portMappings"] = list(ports)
    container.update(more)
    answer = ecs.register_task_definition(
        family=family, networkMode=mode, requiresCompatibilities=["EC2"], containerDefinitions=containers or [container]
    )
    return answer["taskDefinition"]["taskDefinitionArn"]


def run(ecs, definition, **more):
    answer = ecs.run_task(cluster=CLUSTER, taskDefinition=definition, launchType="EC2", **more)
    assert answer["failures"] == []
    return answer["tasks"][0]["taskArn"]


def stop(ecs, arn):
    ecs.stop_task(cluster=CLUSTER, task=arn)
    wait_for_status(ecs, CLUSTER, arn, "STOPPED")


def instance(ecs):
    arns = ecs.list_container_instances(cluster=CLUSTER)["containerInstanceArns"]
    assert len(arns) == 1
    return ecs.describe_container_instances(cluster=CLUSTER, containerInstances=arns)["containerInstances"][0]


def amount(resources, name):
    (found,) = [each for each in resources if each["name"] == name]
    return found["integerValue"]


def ports(resources, name="PORTS"):
    (found,) = [each for each in resources if each["name"] == name]
    return {int(port) for port in found["stringSetValue"]}


def bindings(task, container="app"):
    (found,) = [each for each in task["containers"] if each["name"] == container]
    return found["networkBindings"]


def test_a_task_runs_in_bridge_mode(server, ecs):
    assert ecs.list_container_instances(cluster=CLUSTER)["containerInstanceArns"] == []
    arn = run(ecs, define(ecs, "bridge"))
    task = wait_for_status(ecs, CLUSTER, arn, "RUNNING")
    (binding,) = bindings(task)
    assert binding["hostPort"] in DYNAMIC
    assert {k: v for k, v in binding.items() if k != "hostPort"} == {"bindIP": "0.0.0.0", "containerPort": 8000, "protocol": "tcp"}
    found = instance(ecs)
    assert task["containerInstanceArn"] == found["containerInstanceArn"]
    assert task["launchType"] == "EC2" and task["attachments"] == []
    assert found["ec2InstanceId"].startswith("i-") and found["status"] == "ACTIVE" and found["agentConnected"]
    assert found["runningTasksCount"] == 1
    registered, remaining = found["registeredResources"], found["remainingResources"]
    assert amount(registered, "CPU") - amount(remaining, "CPU") == 64
    assert amount(registered, "MEMORY") - amount(remaining, "MEMORY") == 64
    assert ports(remaining) - ports(registered) == {binding["hostPort"]}
    described = server.aws("ecs", "describe-clusters", "--clusters", CLUSTER)["clusters"][0]
    assert described["registeredContainerInstancesCount"] == 1
    stop(ecs, arn)
    found = instance(ecs)
    assert found["remainingResources"] == found["registeredResources"] and found["runningTasksCount"] == 0


def create(ecs, name, balancer, definition, count=1, **more):
    ecs.create_service(
        cluster=CLUSTER,
        serviceName=name,
        taskDefinition=definition,
        desiredCount=count,
        launchType="EC2",
        loadBalancers=[{"targetGroupArn": balancer.group, "containerName": "app", "containerPort": 8000}],
        **more,
    )
    stable(ecs, name)


def stable(ecs, name):
    ecs.get_waiter("services_stable").wait(cluster=CLUSTER, services=[name], WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def remove(ecs, name):
    ecs.update_service(cluster=CLUSTER, service=name, desiredCount=0)
    ecs.delete_service(cluster=CLUSTER, service=name)
    ecs.get_waiter("services_inactive").wait(cluster=CLUSTER, services=[name], WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def tasks(ecs, name):
    return ecs.list_tasks(cluster=CLUSTER, serviceName=name, desiredStatus="RUNNING")["taskArns"]


def test_a_service_with_dynamic_ports_behind_a_load_balancer(server, ecs, network, open_default):
    balancer = LoadBalanced(server, network, "dynamic", TargetType="instance")
    create(ecs, "dynamic", balancer, define(ecs, "dynamic"), count=3, placementStrategy=[{"type": "binpack", "field": "cpu"}])
    wait_for(lambda: balancer.states() == ["healthy"] * 3, "three targets are healthy")
    wait_for(lambda: len({balancer.get()[2] for _ in range(6)}) == 3, "all three tasks answer")
    described = ecs.describe_tasks(cluster=CLUSTER, tasks=tasks(ecs, "dynamic"))["tasks"]
    expected = {f"{instance(ecs)['ec2InstanceId']}:{bindings(task)[0]['hostPort']}" for task in described}
    assert set(balancer.health()) == expected
    before = tasks(ecs, "dynamic")
    with Load(balancer.name) as load:
        ecs.update_service(cluster=CLUSTER, service="dynamic", taskDefinition=define(ecs, "dynamic", environment=[{"name": "V", "value": "2"}]))
        wait_for(lambda: not set(before) & set(tasks(ecs, "dynamic")), "the old tasks are gone")
        stable(ecs, "dynamic")
        load.wait_for_requests(50)
    assert load.failures == [], f"of {load.requests} requests"
    remove(ecs, "dynamic")
