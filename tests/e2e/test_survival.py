"""Processes die under load, and nobody notices."""

import json
import os
import pathlib
import signal

import pytest

from conftest import Load, LoadBalanced, awsvpc, register, wait_for
from test_service import container_pid

CLUSTER = "survival"


@pytest.fixture(scope="module")
def ecs(server):
    client = server.client("ecs")
    client.create_cluster(clusterName=CLUSTER)
    return client


@pytest.fixture(scope="module")
def balancer(server, ecs, network):
    made = LoadBalanced(server, network, "survive")
    ecs.create_service(
        cluster=CLUSTER, serviceName="web", taskDefinition=register(ecs, "web"), desiredCount=1, launchType="FARGATE",
        networkConfiguration=awsvpc(network),
        loadBalancers=[{"targetGroupArn": made.group, "containerName": "app", "containerPort": 8000}],
    )  # fmt: skip
    ecs.get_waiter("services_stable").wait(cluster=CLUSTER, services=["web"], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    return made


def running(ecs):
    try:
        return ecs.list_tasks(cluster=CLUSTER, serviceName="web")["taskArns"]
    except Exception:
        return None


def is_managed(ecs):
    """Control answers, knows the task as RUNNING, and stops what it is told to stop."""

    def task():
        arns = running(ecs)
        if not arns:
            return None
        shown = ecs.describe_tasks(cluster=CLUSTER, tasks=arns)["tasks"]
        return arns[0] if len(shown) == 1 and shown[0]["lastStatus"] == "RUNNING" else None

    return wait_for(task, "control manages the service's task")


def test_control_dies(server, ecs, balancer):
    before = is_managed(ecs)
    with Load(balancer.name) as load:
        for _ in range(3):
            server.kill("control")
            assert is_managed(ecs) == before, "the same task is managed again"
            load.wait_for_requests(50)
        ecs.stop_task(cluster=CLUSTER, task=before)
        wait_for(lambda: running(ecs) not in (None, [], [before]), "control still acts")
    assert load.failures == [], f"of {load.requests} requests"


def test_node_dies_and_finds_its_containers_again(server, ecs, balancer):
    before = is_managed(ecs)
    pid = container_pid(before)
    with Load(balancer.name) as load:
        for _ in range(3):
            server.kill("node")
            load.wait_for_requests(50)
            wait_for(lambda: server.pids("node"), "node is back")
        assert is_managed(ecs) == before
        assert container_pid(before) == pid, "the container was not started again"
        ecs.stop_task(cluster=CLUSTER, task=before)
        wait_for(lambda: running(ecs) not in (None, [], [before]), "node still acts")
    assert load.failures == [], f"of {load.requests} requests"


def test_lb_dies_and_new_connections_wait(server, ecs, balancer):
    is_managed(ecs)
    users = 10
    with Load(balancer.name, users=users) as load:
        for _ in range(3):
            server.kill("lb")
            load.wait_for_requests(100)
    assert len(load.failures) <= 3 * users, "more than what was in flight"


def test_control_and_a_container_die_at_once(server, ecs, balancer):
    before = is_managed(ecs)
    with Load(balancer.name) as load:
        server.kill("control")
        os.kill(container_pid(before), signal.SIGKILL)
        wait_for(lambda: running(ecs) not in (None, [], [before]), "another task takes over")
        load.wait_for_requests(50)
    assert len(load.failures) <= 10 and all("502" in error for _, error in load.failures), load.failures


def test_the_supervisor_dies_and_the_next_start_takes_all_over(server, ecs, balancer):
    before = is_managed(ecs)
    with Load(balancer.name) as load:
        server.kill("server")
        load.wait_for_requests(50)
        server.start()
        assert is_managed(ecs) == before
        load.wait_for_requests(50)
    assert load.failures == [], f"of {load.requests} requests"


def test_ten_megabytes_written_while_node_is_dead_are_kept(server, ecs, network):
    logs = server.client("logs")
    logs.create_log_group(logGroupName="/flood")
    configuration = {
        "logDriver": "awslogs",
        "options": {"awslogs-group": "/flood", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "f"},
    }
    size = 10_000_000
    definition = register(ecs, "flood", "flood", str(size), logConfiguration=configuration)
    arn = ecs.run_task(
        cluster=CLUSTER, taskDefinition=definition, launchType="FARGATE", networkConfiguration=awsvpc(network)
    )["tasks"][0]["taskArn"]
    wait_for(lambda: find_pid(arn), "the container runs")
    server.kill("node")
    stream = f"f/app/{arn.rsplit('/', 1)[1]}"

    def last():
        try:
            events = logs.get_log_events(logGroupName="/flood", logStreamName=stream, limit=1)["events"]
        except logs.exceptions.ResourceNotFoundException:
            return None
        return events and events[0]["message"] == "ready"

    wait_for(last, "the last line is kept")
    expected, token = 0, None
    while True:
        more = {"nextToken": token} if token else {}
        page = logs.get_log_events(logGroupName="/flood", logStreamName=stream, startFromHead=True, **more)
        for event in page["events"]:
            if event["message"] not in ("the end", "ready"):
                assert int(event["message"][:8]) == expected, "a line is missing, twice or out of order"
                expected += 1
        if page["nextForwardToken"] == token:
            break
        token = page["nextForwardToken"]
    assert expected == size // 108
    ecs.stop_task(cluster=CLUSTER, task=arn)


def find_pid(task):
    try:
        return container_pid(task)
    except pytest.fail.Exception:
        return None


def test_everything_dies_and_runs_again(server, ecs, balancer):
    """What a reboot does: every process is gone at once, control groups and namespaces stay empty."""
    is_managed(ecs)
    for role in ("server", "control", "lb", "node", "shim"):
        for pid in server.pids(role):
            os.kill(pid, signal.SIGKILL)
    server.process.wait()
    server.start()
    wait_for(lambda: running(ecs), "the service has a task again")
    is_managed(ecs)
    wait_for(lambda: balancer.get()[0] == 200, "it answers again")


def test_a_stopped_server_leaves_nothing(server, balancer):
    server.remove()
    left = [entry for entry in pathlib.Path("/sys/fs/cgroup").glob(f"**/gantry-{(server.state / 'instance').read_text()}")]
    assert not left
    links = [each["ifname"] for each in json.loads(os.popen("ip -json link").read())]
    assert links == ["lo"]
    assert str(server.state) not in pathlib.Path("/proc/mounts").read_text()
    assert "gantry" not in pathlib.Path("/etc/hosts").read_text()
    assert "gantry" not in os.popen("nft list ruleset").read()
    for role in ("control", "lb", "node", "shim"):
        assert not server.pids(role), role
