"""A container by RunTask: what it is given, how it ends, what is told of it."""

import pytest

from conftest import address_of, awsvpc, register, wait_for, wait_for_status

CLUSTER = "tasks"


@pytest.fixture(scope="module")
def ecs(server):
    client = server.client("ecs")
    client.create_cluster(clusterName=CLUSTER)
    return client


def run(ecs, network, definition, **more):
    answer = ecs.run_task(
        cluster=CLUSTER, taskDefinition=definition, launchType="FARGATE", networkConfiguration=awsvpc(network), **more
    )
    assert not answer["failures"]
    return answer["tasks"][0]["taskArn"]


def end_of(ecs, network, definition, **more):
    task = wait_for_status(ecs, CLUSTER, run(ecs, network, definition, **more), "STOPPED")
    return task, task["containers"][0]


def test_the_cli_runs_a_task_and_waits_for_it(server, ecs, network):
    register(ecs, "cli")
    configuration = f"awsvpcConfiguration={{subnets=[{network['subnets'][0]}],securityGroups=[{network['group']}]}}"
    words = ["--cluster", CLUSTER]
    task = server.aws(
        "ecs", "run-task", *words, "--task-definition", "cli", "--launch-type", "FARGATE", "--network-configuration", configuration
    )["tasks"][0]["taskArn"]
    server.aws("ecs", "wait", "tasks-running", *words, "--tasks", task)
    shown = server.aws("ecs", "describe-tasks", *words, "--tasks", task)["tasks"][0]
    assert shown["lastStatus"] == "RUNNING" and shown["desiredStatus"] == "RUNNING"
    assert shown["containers"][0]["lastStatus"] == "RUNNING"
    assert address_of(shown).startswith("172.31.")
    server.aws("ecs", "stop-task", *words, "--task", task, "--reason", "enough")
    server.aws("ecs", "wait", "tasks-stopped", *words, "--tasks", task)
    shown = server.aws("ecs", "describe-tasks", *words, "--tasks", task)["tasks"][0]
    assert (shown["stopCode"], shown["stoppedReason"]) == ("UserInitiated", "enough")
    assert shown["containers"][0]["exitCode"] == 0


def test_exit_codes_are_told(ecs, network):
    task, container = end_of(ecs, network, register(ecs, "exit", "exit", "42"))
    assert container["exitCode"] == 42
    assert task["stopCode"] == "EssentialContainerExited"
    assert task["stoppedReason"] == "Essential container in task exited"


def test_running_out_of_memory_is_told_apart_from_a_kill(ecs, network):
    _, container = end_of(ecs, network, register(ecs, "oom", "eat", "600"))
    assert container["exitCode"] == 137
    assert container["reason"].startswith("OutOfMemoryError")


def test_overrides_replace_the_command_and_add_to_the_environment(ecs, network):
    definition = register(ecs, "override", "exit", "1", environment=[{"name": "A", "value": "a"}])
    overrides = {"containerOverrides": [{"name": "app", "command": ["exit", "7"], "environment": [{"name": "B", "value": "b"}]}]}
    task, container = end_of(ecs, network, definition, overrides=overrides)
    assert container["exitCode"] == 7
    assert task["overrides"]["containerOverrides"][0]["command"] == ["exit", "7"]


def test_an_image_that_does_not_exist_is_named(ecs, network):
    task, container = end_of(ecs, network, register(ecs, "missing", image="nowhere:1"))
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith("CannotPullContainerError") and "nowhere" in task["stoppedReason"]
    assert "exitCode" not in container


def test_a_command_that_does_not_exist_is_named(ecs, network):
    task, _ = end_of(ecs, network, register(ecs, "nocommand", entryPoint=["/no/such/file"]))
    assert task["stopCode"] == "TaskFailedToStart"
    assert "/no/such/file" in task["stoppedReason"]


def test_what_ignores_the_stop_signal_is_killed_after_its_timeout(ecs, network):
    arn = run(ecs, network, register(ecs, "stubborn", "sleep", stopTimeout=2))
    wait_for_status(ecs, CLUSTER, arn, "RUNNING")
    ecs.stop_task(cluster=CLUSTER, task=arn)
    task = wait_for_status(ecs, CLUSTER, arn, "STOPPED")
    assert task["containers"][0]["exitCode"] == 137
    assert 1.5 <= (task["executionStoppedAt"] - task["stoppingAt"]).total_seconds() + 3


def test_health_checks_make_a_task_healthy_and_unhealthy(ecs, network):
    check = {"command": ["CMD", "/app", "check", "/app"], "interval": 5, "timeout": 2, "retries": 1}
    healthy = run(ecs, network, register(ecs, "healthy", healthCheck=check))
    check = dict(check, command=["CMD", "/app", "check", "/nothing"])
    unhealthy = run(ecs, network, register(ecs, "unhealthy", healthCheck=check))

    def status(arn):
        return ecs.describe_tasks(cluster=CLUSTER, tasks=[arn])["tasks"][0]["healthStatus"]

    wait_for(lambda: status(healthy) == "HEALTHY", "the first is healthy")
    wait_for(lambda: status(unhealthy) == "UNHEALTHY", "the second is unhealthy")


def test_errors_are_those_of_aws(server, ecs, network):
    def refused(call, **arguments):
        with pytest.raises(ecs.exceptions.ClientError) as caught:
            call(**arguments)
        error = caught.value.response["Error"]
        return error["Code"], error["Message"]

    assert refused(ecs.describe_tasks, cluster="nothing", tasks=["x"]) == ("ClusterNotFoundException", "Cluster not found.")
    assert refused(ecs.stop_task, cluster=CLUSTER, task="0" * 32) == (
        "InvalidParameterException",
        "The referenced task was not found.",
    )
    assert refused(ecs.describe_task_definition, taskDefinition="nothing") == (
        "ClientException",
        "Unable to describe task definition.",
    )
    missing = ecs.describe_tasks(cluster=CLUSTER, tasks=["0" * 32])["failures"]
    assert missing[0]["reason"] == "MISSING"
    code, message = refused(
        ecs.run_task,
        cluster=CLUSTER,
        taskDefinition=register(ecs, "errors"),
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-0123"]}},
    )
    assert code == "InvalidParameterException" and "subnet-0123" in message


def test_output_becomes_log_events_with_their_own_time(server, ecs, network):
    logs = server.client("logs")
    logs.create_log_group(logGroupName="/lines")
    configuration = {
        "logDriver": "awslogs",
        "options": {"awslogs-group": "/lines", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p"},
    }
    definition = register(ecs, "lines", "print", "hello log", logConfiguration=configuration)
    arn = run(ecs, network, definition)
    stream = f"p/app/{arn.rsplit('/', 1)[1]}"

    def events():
        try:
            return logs.get_log_events(logGroupName="/lines", logStreamName=stream, startFromHead=True)["events"]
        except logs.exceptions.ResourceNotFoundException:
            return None

    event = wait_for(events, "the line is kept")[0]
    assert event["message"] == "hello log"
    assert 0 <= event["ingestionTime"] - event["timestamp"] < 60_000
    # What `aws logs tail` of the AWS CLI version 2 asks (version 1 has no such command): pages of FilterLogEvents by time.
    found = logs.filter_log_events(logGroupName="/lines", startTime=event["timestamp"] - 1000, interleaved=True)
    assert [(each["message"], each["logStreamName"]) for each in found["events"]] == [("hello log", stream)]
    assert found["events"][0]["eventId"]
    listed = server.aws("logs", "filter-log-events", "--log-group-name", "/lines", "--filter-pattern", "hello")
    assert [each["message"] for each in listed["events"]] == ["hello log"]


def test_lines_can_be_followed_while_they_are_written(server, ecs, network):
    logs = server.client("logs")
    logs.create_log_group(logGroupName="/ticks")
    configuration = {
        "logDriver": "awslogs",
        "options": {"awslogs-group": "/ticks", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p"},
    }
    arn = run(ecs, network, register(ecs, "ticks", "tick", "50", logConfiguration=configuration))
    seen = {}

    def follow():
        start = max((each["timestamp"] for each in seen.values()), default=0)
        for each in logs.filter_log_events(logGroupName="/ticks", startTime=start, interleaved=True)["events"]:
            seen[each["eventId"]] = each
        return len(seen) >= 20

    wait_for(follow, "twenty lines arrive as they are written")
    lines = [each["message"] for each in sorted(seen.values(), key=lambda each: each["timestamp"])]
    assert lines[:20] == [f"tick {number}" for number in range(20)]
    delays = [each["ingestionTime"] - each["timestamp"] for each in seen.values()]
    assert max(delays) < 5_000, "lines are delivered live"
    ecs.stop_task(cluster=CLUSTER, task=arn)


def test_tasks_reach_each_other_by_address_and_names_by_dns(ecs, network):
    target = run(ecs, network, register(ecs, "target"))
    address = address_of(wait_for_status(ecs, CLUSTER, target, "RUNNING"))
    task, container = end_of(ecs, network, register(ecs, "asker", "get", f"http://{address}:8000/status?code=204"))
    assert container["exitCode"] == 0
