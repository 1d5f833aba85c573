"""The disk is full: what is kept is kept, what runs runs on, and with room again everything works without a restart."""

import contextlib
import errno
import re
import subprocess

import botocore.exceptions
import pytest

from conftest import APP_IMAGE, Load, LoadBalanced, Server, awsvpc, register, wait_for
from test_service import container_pid

CLUSTER = "disk"
DISK = "128m"
LINES = 200


@pytest.fixture(scope="module")
def server():
    """A server whose state directory is a small disk of its own."""
    made = Server("gantry")
    made.state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0700", "disk", made.state], check=True)
    try:
        made.start()
        made.image(APP_IMAGE, "app:latest")
        yield made
    finally:
        with contextlib.suppress(OSError):
            (made.state / "filler").unlink()
        made.remove()
        subprocess.run(["umount", "--lazy", made.state], check=True)


@pytest.fixture(scope="module")
def ecs(server):
    client = server.client("ecs")
    client.create_cluster(clusterName=CLUSTER)
    return client


@pytest.fixture(scope="module")
def balancer(server, ecs, network):
    made = LoadBalanced(server, network, "disk")
    logs = {"awslogs-group": "/disk", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "d", "awslogs-create-group": "true"}
    definition = register(ecs, "web", logConfiguration={"logDriver": "awslogs", "options": logs})
    ecs.create_service(
        cluster=CLUSTER, serviceName="web", taskDefinition=definition, desiredCount=1, launchType="FARGATE",
        networkConfiguration=awsvpc(network),
        loadBalancers=[{"targetGroupArn": made.group, "containerName": "app", "containerPort": 8000}],
    )  # fmt: skip
    wait_for(lambda: made.states() == ["healthy"], "the target is healthy")
    return made


@pytest.fixture
def full(server):
    """Fills the disk to its last byte; gives what makes room again."""
    path = server.state / "filler"

    def fill():
        with open(path, "ab", buffering=0) as filler:
            for size in (1 << 20, 4096, 1):
                try:
                    while True:
                        filler.write(b"f" * size)
                except OSError as error:
                    assert error.errno == errno.ENOSPC

    fill()
    yield lambda: path.unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def clusters(ecs):
    return sorted(arn.rsplit("/", 1)[1] for arn in ecs.list_clusters()["clusterArns"])


def is_refused(ecs, name):
    """A change that needs room; gives the refusal. Commits reuse the store's free pages, so the first few may still fit."""
    for number in range(2000):
        try:
            ecs.create_cluster(clusterName=f"{name}-{number}", tags=[{"key": f"k{tag}", "value": "v" * 250} for tag in range(50)])
        except botocore.exceptions.ClientError as error:
            return error.response, number
    pytest.fail("the disk is not full")


def test_a_full_disk_refuses_changes_and_nothing_else(server, ecs, balancer, full):
    (task,) = ecs.list_tasks(cluster=CLUSTER, serviceName="web")["taskArns"]
    pid, parts = container_pid(task), {role: server.pids(role) for role in ("control", "lb", "node")}
    make_room = full
    with Load(balancer.name) as load:
        answer, fitted = is_refused(ecs, "full")
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 503
        assert answer["Error"]["Code"] == "ServiceUnavailable"
        assert answer["Error"]["Message"] == "The request could not be kept: the disk has no room to store the change"
        kept = sorted([CLUSTER, *(f"full-{number}" for number in range(fitted))])
        assert clusters(ecs) == kept, "what was acknowledged is there, what was refused is not"
        for number in range(LINES):
            assert balancer.get(f"/log?text=line-{number}")[0] == 200
        load.wait_for_requests(100)
        wait_for(lambda: "log lines cannot be kept and are left with their node" in server.log(), "control gives a batch back")
        make_room()
        wait_for(lambda: created(ecs, "room"), "room again is noticed without a restart")
        load.wait_for_requests(100)
    assert load.failures == [], f"of {load.requests} requests"
    assert clusters(ecs) == sorted([*kept, "room"])
    assert ecs.list_tasks(cluster=CLUSTER, serviceName="web")["taskArns"] == [task] and container_pid(task) == pid
    assert {role: server.pids(role) for role in parts} == parts, "no process died of it"


def created(ecs, name):
    try:
        return ecs.create_cluster(clusterName=name)
    except botocore.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == "ServiceUnavailable", error
        return None


def test_control_dies_on_a_full_disk(server, ecs, balancer, full):
    before = clusters(ecs)
    tasks = ecs.list_tasks(cluster=CLUSTER, serviceName="web")["taskArns"]
    make_room = full
    _, fitted = is_refused(ecs, "again")
    kept = sorted([*before, *(f"again-{number}" for number in range(fitted))])
    with Load(balancer.name) as load:
        server.kill("control")
        assert wait_for(lambda: answered(ecs), "control comes back on a full disk, and reads") == kept
        make_room()
        wait_for(lambda: created(ecs, "more-room"), "and changes with room again")
        server.kill("control")
        assert wait_for(lambda: answered(ecs), "control comes back") == sorted([*kept, "more-room"])
    assert load.failures == [], f"of {load.requests} requests"
    assert ecs.list_tasks(cluster=CLUSTER, serviceName="web")["taskArns"] == tasks


def answered(ecs):
    try:
        return clusters(ecs)
    except (botocore.exceptions.ClientError, botocore.exceptions.HTTPClientError):
        return None


def test_lines_that_were_written_on_the_full_disk_are_kept_or_counted(server, ecs, balancer):
    """Their container's spool had no room for some of them: a line tells how many. None is missing without a word."""
    logs = server.client("logs")
    (task,) = ecs.list_tasks(cluster=CLUSTER, serviceName="web")["taskArns"]
    stream = f"d/app/{task.rsplit('/', 1)[1]}"
    assert balancer.get("/log?text=with-room-again")[0] == 200

    def arrived():
        events = logs.get_log_events(logGroupName="/disk", logStreamName=stream, startFromHead=True)["events"]
        messages = [event["message"] for event in events]
        return messages if "with-room-again" in messages else None

    messages = wait_for(arrived, "the line arrives")
    numbers = [int(message.removeprefix("line-")) for message in messages if message.startswith("line-")]
    lost = [re.match(r"\[gantry\] (\d+) lines? of output", message) for message in messages]
    assert numbers == sorted(set(numbers)), "in their order, each once"
    assert len(numbers) + sum(int(each[1]) for each in lost if each) == LINES, messages


def test_a_service_still_moves_afterwards(ecs, balancer):
    (task,) = ecs.list_tasks(cluster=CLUSTER, serviceName="web")["taskArns"]
    ecs.stop_task(cluster=CLUSTER, task=task)
    wait_for(lambda: ecs.list_tasks(cluster=CLUSTER, serviceName="web")["taskArns"] not in ([], [task]), "another task takes over")
    assert balancer.get()[0] == 200
