"""The launch type EC2 on this machine: `bridge`, `host` and `none`, dynamic host ports, instances as targets."""

import pytest

from conftest import Load, LoadBalanced, task_of, wait_for, wait_for_status

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


def leaves_nothing(server):
    """What the instances' containers made is gone: their namespaces, and with those their links and ports."""
    wait_for(lambda: not list((server.state / "run").glob("**/netns/ctr-*")), "no container's network is left")


def test_a_killed_node_finds_its_ports_again(server, ecs, network, open_default):
    balancer = LoadBalanced(server, network, "restarted", TargetType="instance")
    create(ecs, "restarted", balancer, define(ecs, "restarted"), count=2)
    before = sorted(tasks(ecs, "restarted"))
    with Load(balancer.name) as load:
        for role in ["node", "control", "lb"]:
            killed = server.kill(role)
            wait_for(lambda: server.pids(role) not in ([], killed), f"{role} is there again")
            load.wait_for_requests(100)
        wait_for(lambda: balancer.states() == ["healthy"] * 2, "the targets are healthy")
        wait_for(lambda: instance(ecs)["agentConnected"], "the node is connected")
    failed = [error for _, error in load.failures]
    assert len(failed) <= 10, "only what was in flight in the killed load balancer"
    assert sorted(tasks(ecs, "restarted")) == before, "no task was replaced"
    ecs.update_service(cluster=CLUSTER, service="restarted", desiredCount=3)
    stable(ecs, "restarted")
    wait_for(lambda: balancer.states() == ["healthy"] * 3, "a new task is connected too")
    remove(ecs, "restarted")
    leaves_nothing(server)


def lines(server, ecs, name, *commands, mode="bridge", **more):
    """What a task's container prints."""
    logs = server.client("logs")
    logs.create_log_group(logGroupName=f"/{name}")
    options = {"awslogs-group": f"/{name}", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p"}
    definition = define(ecs, name, *commands, mode=mode, ports=(), logConfiguration={"logDriver": "awslogs", "options": options}, **more)
    arn = run(ecs, definition)
    stopped = wait_for_status(ecs, CLUSTER, arn, "STOPPED")
    assert stopped["containers"][0].get("exitCode") == 0, stopped
    stream = f"p/app/{arn.rsplit('/', 1)[1]}"

    def events():
        try:
            return logs.get_log_events(logGroupName=f"/{name}", logStreamName=stream, startFromHead=True)["events"]
        except logs.exceptions.ResourceNotFoundException:
            return None

    return [each["message"] for each in wait_for(events, "its lines are kept")]


@pytest.mark.parametrize("mode", ["bridge", "host"])
def test_names_and_endpoints_are_within_reach(server, ecs, network, mode):
    found = instance(ecs)
    filters = [{"Name": "attachment.instance-id", "Values": [found["ec2InstanceId"]]}]
    (interface,) = server.client("ec2").describe_network_interfaces(Filters=filters)["NetworkInterfaces"]
    (resolved,) = lines(server, ecs, f"dns-{mode}", "resolve", interface["PrivateDnsName"], mode=mode)
    assert interface["PrivateIpAddress"] in resolved, resolved
    hosts = lines(server, ecs, f"hosts-{mode}", "cat", "/etc/hosts", mode=mode, extraHosts=[{"hostname": "db", "ipAddress": "10.1.2.3"}])
    assert "10.1.2.3 db" in hosts
    address = hosts[1].split()[0]
    assert address.startswith("169.254.172.") if mode == "bridge" else address == interface["PrivateIpAddress"]
    answer = lines(server, ecs, f"metadata-{mode}", "get", "http://169.254.170.2/", mode=mode)
    assert answer[0].startswith("HTTP/1.1 "), answer
    leaves_nothing(server)


def test_without_network_there_is_a_loopback(server, ecs):
    assert lines(server, ecs, "none-get", "get", "http://169.254.170.2/", mode="none")[0].startswith("error: ")
    leaves_nothing(server)


def test_two_tasks_cannot_have_one_port(server, ecs, network, open_default):
    definition = define(ecs, "static", ports=[{"containerPort": 8000, "hostPort": 18000}])
    arn = run(ecs, definition)
    assert bindings(wait_for_status(ecs, CLUSTER, arn, "RUNNING"))[0]["hostPort"] == 18000
    answer = ecs.run_task(cluster=CLUSTER, taskDefinition=definition, launchType="EC2")
    found = instance(ecs)
    assert answer["tasks"] == [] and answer["failures"] == [{"arn": found["containerInstanceArn"], "reason": "RESOURCE:PORTS"}]
    ecs.create_service(cluster=CLUSTER, serviceName="static", taskDefinition=definition, desiredCount=1, launchType="EC2")
    closest = found["containerInstanceArn"].rsplit("/", 1)[1]
    expected = (
        "(service static) was unable to place a task because no container instance met all of its requirements. "
        f"The closest matching (container-instance {closest}) is already using a port required by your task. "
    )

    def told():
        events = ecs.describe_services(cluster=CLUSTER, services=["static"])["services"][0]["events"]
        return any(each["message"].startswith(expected) for each in events)

    wait_for(told, "the service says why it waits")
    stop(ecs, arn)
    wait_for(lambda: tasks(ecs, "static"), "the port is free, and the service takes it")
    wait_for_status(ecs, CLUSTER, tasks(ecs, "static")[0], "RUNNING")
    remove(ecs, "static")


def test_host_mode_listens_on_the_instance(server, ecs, network, open_default):
    balancer = LoadBalanced(server, network, "hostmode", TargetType="instance")
    definition = define(ecs, "hostmode", "serve", "18001", mode="host", ports=[{"containerPort": 18001}])
    ecs.create_service(
        cluster=CLUSTER, serviceName="hostmode", taskDefinition=definition, desiredCount=1, launchType="EC2",
        loadBalancers=[{"targetGroupArn": balancer.group, "containerName": "app", "containerPort": 18001}],
    )  # fmt: skip
    wait_for(lambda: balancer.states() == ["healthy"], "the target is healthy")
    assert balancer.get()[0] == 200
    assert list(balancer.health()) == [f"{instance(ecs)['ec2InstanceId']}:18001"]
    remove(ecs, "hostmode")


def test_a_draining_instance_keeps_what_runs_and_takes_nothing(server, ecs):
    arn = run(ecs, define(ecs, "drained"))
    wait_for_status(ecs, CLUSTER, arn, "RUNNING")
    found = instance(ecs)["containerInstanceArn"]
    words = ["ecs", "update-container-instances-state", "--cluster", CLUSTER, "--container-instances", found, "--status"]
    assert server.aws(*words, "DRAINING")["containerInstances"][0]["status"] == "DRAINING"
    refused = server.aws("ecs", "run-task", "--cluster", CLUSTER, "--task-definition", "drained", check=False)
    assert refused.returncode != 0 and "No Container Instances were found in your cluster." in refused.stderr
    assert task_of(ecs, CLUSTER, arn)["lastStatus"] == "RUNNING", "a standalone task is left alone"
    server.aws(*words, "ACTIVE")
    started = ecs.start_task(cluster=CLUSTER, taskDefinition="drained", containerInstances=[found])
    assert started["failures"] == []
    other = started["tasks"][0]["taskArn"]
    wait_for_status(ecs, CLUSTER, other, "RUNNING")
    stop(ecs, arn)
    stop(ecs, other)


def test_containers_start_and_stop_in_their_order(server, ecs):
    def container(name, *commands, **more):
        return {"name": name, "image": "app:latest", "memory": 32, "command": list(commands), **more}

    def after(name, condition):
        return [{"containerName": name, "condition": condition}]

    definition = define(ecs, "ordered", containers=[
        container("proxy", "sleep-politely", dependsOn=after("app", "START")),
        container("app", "sleep-politely", dependsOn=after("migrate", "SUCCESS")),
        container("migrate", "print", "migrated", essential=False),
    ])  # fmt: skip
    arn = run(ecs, definition)
    wait_for_status(ecs, CLUSTER, arn, "RUNNING")
    stop(ecs, arn)
    codes = {each["name"]: each["exitCode"] for each in task_of(ecs, CLUSTER, arn)["containers"]}
    assert codes == {"proxy": 0, "app": 0, "migrate": 0}
    definition = define(ecs, "failing", containers=[
        container("app", "sleep", dependsOn=after("migrate", "SUCCESS")),
        container("migrate", "exit", "3", essential=False),
    ])  # fmt: skip
    task = wait_for_status(ecs, CLUSTER, run(ecs, definition), "STOPPED")
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"] == "dependency on container migrate with condition SUCCESS can not be met"
