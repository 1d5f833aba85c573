"""A service behind a load balancer: its whole life, with boto3 and the AWS CLI."""

import signal
import os

import pytest

from conftest import Load, LoadBalanced, awsvpc, register, wait_for

CLUSTER = "services"


@pytest.fixture(scope="module")
def ecs(server):
    client = server.client("ecs")
    client.create_cluster(clusterName=CLUSTER)
    return client


def create(ecs, network, name, balancer, definition, count=1, **more):
    ecs.create_service(
        cluster=CLUSTER,
        serviceName=name,
        taskDefinition=definition,
        desiredCount=count,
        launchType="FARGATE",
        networkConfiguration=awsvpc(network),
        loadBalancers=[{"targetGroupArn": balancer.group, "containerName": "app", "containerPort": 8000}],
        **more,
    )
    stable(ecs, name)


def stable(ecs, name):
    ecs.get_waiter("services_stable").wait(cluster=CLUSTER, services=[name], WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def tasks(ecs, name, status="RUNNING"):
    return ecs.list_tasks(cluster=CLUSTER, serviceName=name, desiredStatus=status)["taskArns"]


def events(ecs, name):
    return [each["message"] for each in ecs.describe_services(cluster=CLUSTER, services=[name])["services"][0]["events"]]


def remove(ecs, name):
    ecs.update_service(cluster=CLUSTER, service=name, desiredCount=0)
    ecs.delete_service(cluster=CLUSTER, service=name)
    ecs.get_waiter("services_inactive").wait(cluster=CLUSTER, services=[name], WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def test_the_whole_life_by_the_cli(server, ecs, network):
    balancer = LoadBalanced(server, network, "life")
    register(ecs, "life")
    words = ["--cluster", CLUSTER]
    configuration = f"awsvpcConfiguration={{subnets=[{','.join(network['subnets'])}],securityGroups=[{network['group']}]}}"
    server.aws(
        "ecs", "create-service", *words, "--service-name", "life", "--task-definition", "life", "--desired-count", "1",
        "--launch-type", "FARGATE", "--network-configuration", configuration,
        "--load-balancers", f"targetGroupArn={balancer.group},containerName=app,containerPort=8000",
    )  # fmt: skip
    server.aws("ecs", "wait", "services-stable", *words, "--services", "life")
    assert balancer.get()[0] == 200
    server.aws("ecs", "update-service", *words, "--service", "life", "--desired-count", "3")
    server.aws("ecs", "wait", "services-stable", *words, "--services", "life")
    assert len(balancer.health()) == 3
    wait_for(lambda: balancer.states() == ["healthy"] * 3, "three targets are healthy")
    wait_for(lambda: len({balancer.get()[2] for _ in range(6)}) == 3, "all three tasks answer")
    first = tasks(ecs, "life")
    server.aws("ecs", "update-service", *words, "--service", "life", "--force-new-deployment")
    server.aws("ecs", "wait", "services-stable", *words, "--services", "life")
    assert not set(first) & set(tasks(ecs, "life")), "a new deployment has new tasks"
    service = ecs.describe_services(cluster=CLUSTER, services=["life"])["services"][0]
    assert [each["rolloutState"] for each in service["deployments"]] == ["COMPLETED"]
    told = events(ecs, "life")
    assert told[0] == "(service life) has reached a steady state."
    assert any(text.startswith("(service life) has started 1 tasks: (task ") for text in told)
    assert any("registered 1 targets in (target-group arn:aws:elasticloadbalancing:" in text for text in told)
    remove(ecs, "life")
    assert not tasks(ecs, "life")


def test_the_only_task_is_stopped_under_load(server, ecs, network):
    balancer = LoadBalanced(server, network, "only")
    create(ecs, network, "only", balancer, register(ecs, "only"))
    with Load(balancer.name) as load:
        for _ in range(3):
            (task,) = tasks(ecs, "only")
            ecs.stop_task(cluster=CLUSTER, task=task)
            wait_for(lambda: tasks(ecs, "only") not in ([], [task]), "another task takes over")
            load.wait_for_requests(50)
    assert load.failures == [], f"of {load.requests} requests"
    remove(ecs, "only")


def test_one_of_two_tasks_is_stopped_under_load(server, ecs, network):
    balancer = LoadBalanced(server, network, "two")
    create(ecs, network, "two", balancer, register(ecs, "two"), count=2)
    with Load(balancer.name) as load:
        ecs.stop_task(cluster=CLUSTER, task=tasks(ecs, "two")[0])
        wait_for(lambda: balancer.states().count("healthy") == 2 or None, "two are healthy again")
        load.wait_for_requests(50)
    assert load.failures == [], f"of {load.requests} requests"
    remove(ecs, "two")


@pytest.mark.parametrize("count", [1, 3])
def test_a_rolling_update_under_load(server, ecs, network, count):
    name = f"rolling{count}"
    balancer = LoadBalanced(server, network, name)
    create(ecs, network, name, balancer, register(ecs, name), count=count)
    before = tasks(ecs, name)
    with Load(balancer.name) as load:
        ecs.update_service(cluster=CLUSTER, service=name, taskDefinition=register(ecs, name, "serve", "8000", environment=[{"name": "V", "value": "2"}]))
        wait_for(lambda: not set(before) & set(tasks(ecs, name)), "the old tasks are gone")
        stable(ecs, name)
        load.wait_for_requests(50)
    assert load.failures == [], f"of {load.requests} requests"
    remove(ecs, name)


def test_a_killed_container_is_replaced_and_only_its_own_requests_fail(server, ecs, network):
    balancer = LoadBalanced(server, network, "killed")
    create(ecs, network, "killed", balancer, register(ecs, "killed"))
    with Load(balancer.name) as load:
        (task,) = tasks(ecs, "killed")
        in_flight = 10
        os.kill(container_pid(task), signal.SIGKILL)
        wait_for(lambda: tasks(ecs, "killed") not in ([], [task]), "another task takes over")
        load.wait_for_requests(50)
    assert len(load.failures) <= in_flight and all("502" in error for _, error in load.failures), load.failures
    remove(ecs, "killed")


def container_pid(task):
    """The process of the task's container, found by its control group."""
    name = task.rsplit("/", 1)[1]
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                groups = open(f"/proc/{entry}/cgroup").read()
                words = open(f"/proc/{entry}/cmdline").read().split("\0")
            except OSError:
                continue
            if name in groups and words[0] == "/app":
                return int(entry)
    pytest.fail(f"no process belongs to task {task}")


def test_an_unhealthy_task_is_replaced(server, ecs, network):
    balancer = LoadBalanced(
        server, network, "sick", HealthCheckPath="/health", HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=2,
        UnhealthyThresholdCount=2, HealthyThresholdCount=2,
    )  # fmt: skip
    create(ecs, network, "sick", balancer, register(ecs, "sick"))
    (task,) = tasks(ecs, "sick")
    assert balancer.get("/sicken")[0] == 200
    wait_for(lambda: tasks(ecs, "sick") not in ([], [task]), "the sick task is replaced")
    wait_for(lambda: any("is unhealthy in (target-group" in text for text in events(ecs, "sick")), "an event tells it")
    remove(ecs, "sick")


def test_rules_choose_by_path_and_host(server, ecs, network):
    balancer = LoadBalanced(server, network, "rules")
    elb = balancer.elb
    rule = lambda priority, field, values, action: elb.create_rule(
        ListenerArn=balancer.listener, Priority=priority, Conditions=[{"Field": field, "Values": values}], Actions=[action]
    )
    fixed = lambda code, body: {
        "Type": "fixed-response",
        "FixedResponseConfig": {"StatusCode": str(code), "ContentType": "text/plain", "MessageBody": body},
    }
    rule(1, "path-pattern", ["/fixed/*"], fixed(418 if False else 404, "by path"))
    rule(2, "host-header", ["*.example.com"], fixed(200, "by host"))
    rule(3, "path-pattern", ["/old"], {"Type": "redirect", "RedirectConfig": {"Path": "/new", "StatusCode": "HTTP_301"}})
    wait_for(lambda: balancer.get("/fixed/x")[0] == 404, "the rule is in force")
    assert balancer.get("/fixed/x")[2] == b"by path"
    assert balancer.get("/", headers={"Host": "www.example.com"})[:1] == (200,)
    wait_for(lambda: balancer.get("/old")[0] == 301, "the redirect is in force")
    location = balancer.get("/old")[1]["Location"]
    assert location == f"http://{balancer.name}:80/new", location
    assert balancer.get("/")[0] == 503, "no target is registered and none is promised"


def test_headers_tell_the_application_who_asks(server, ecs, network):
    balancer = LoadBalanced(server, network, "headers")
    create(ecs, network, "headers", balancer, register(ecs, "headers"))
    head = balancer.get("/head")[2].decode()
    for expected in ("X-Forwarded-For: 127.", "X-Forwarded-Proto: http", "X-Forwarded-Port: 80", "X-Amzn-Trace-Id: Root=1-"):
        assert expected.lower() in head.lower(), head
    body = os.urandom(3_000_000)
    assert balancer.get("/echo", method="POST", body=body)[2] == body
    remove(ecs, "headers")


def test_a_service_that_cannot_start_says_why_and_slows_down(ecs, network):
    definition = register(ecs, "broken", image="nowhere:1")
    ecs.create_service(
        cluster=CLUSTER, serviceName="broken", taskDefinition=definition, desiredCount=1, launchType="FARGATE",
        networkConfiguration=awsvpc(network),
    )  # fmt: skip
    told = "(service broken) is unable to consistently start tasks successfully."
    wait_for(lambda: any(text.startswith(told) for text in events(ecs, "broken")), "an event tells it")
    assert len(tasks(ecs, "broken", "STOPPED")) < 50
    remove(ecs, "broken")
