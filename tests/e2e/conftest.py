"""Fixtures: a server of one's own, AWS clients that talk to it, and waits that have a bound.

Everything runs inside the world that `run.py` made; `GANTRY_WORLD` is its directory.
"""

import contextlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import boto3
import botocore.config
import pytest

BINARY = os.environ["GANTRY_BINARY"]
APP_IMAGE = os.environ["GANTRY_TEST_APP"]
WORLD = pathlib.Path(os.environ["GANTRY_WORLD"])
REGION = "us-east-1"
ENDPOINT = "http://127.0.0.1:4566"
READY_SECONDS_MAX = 30
WAIT_SECONDS_MAX = 60


def wait_for(condition, what, seconds=WAIT_SECONDS_MAX):
    """Gives the first true value of `condition`; fails with the last one when the time is over."""
    end = time.monotonic() + seconds
    value = None
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    pytest.fail(f"not within {seconds} s: {what}; the last value was {value!r}")


class Server:
    """One installation of Gantry."""

    def __init__(self, name):
        self.state = WORLD / name
        self.log_path = WORLD / f"{name}.log"
        self.process = None

    def start(self, *arguments):
        ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = str(WORLD / f"notify-{time.monotonic_ns()}")
        ready.bind(path)
        ready.settimeout(READY_SECONDS_MAX)
        environment = dict(os.environ, NOTIFY_SOCKET=path, GANTRY_LOG=os.environ.get("GANTRY_LOG", "info"))
        with open(self.log_path, "ab") as log:
            command = [BINARY, "server", "--state-dir", self.state, *arguments]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        started = time.monotonic()
        try:
            while b"READY=1" not in ready.recv(4096):
                pass
        except TimeoutError:
            pytest.fail(f"the server was not ready within {READY_SECONDS_MAX} s:\n{self.log()}")
        finally:
            ready.close()
        instance = json.loads((self.state / "run" / "server.json").read_text())["instance"]
        (self.state / "instance").write_text(instance)
        return time.monotonic() - started

    def log(self):
        return self.log_path.read_text(errors="replace")[-8000:]

    def run(self, *arguments, check=True, **options):
        """Runs a gantry command against this installation."""
        command = [BINARY, *map(str, arguments)]
        run = subprocess.run(command, capture_output=True, text=True, timeout=120, **options)
        if check and run.returncode != 0:
            pytest.fail(f"{command} ended with {run.returncode}:\n{run.stdout}\n{run.stderr}")
        return run

    def image(self, folder, tag):
        self.run("image", "build", folder, "--tag", tag, "--state-dir", self.state)

    def pids(self, role):
        """The process of a role: `control`, `lb`, `node`, `shim`; or `server`, the supervisor."""
        if role == "server":
            return [self.process.pid]
        found = []
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if len(words) > 1 and words[0].endswith(b"gantry") and words[1] == role.encode():
                    if str(self.state).encode() in b" ".join(words) or role == "shim":
                        found.append(int(entry.name))
        return found

    def kill(self, role):
        """kill -9; gives the ids that were killed."""
        pids = self.pids(role)
        assert pids, f"no process plays the role {role}"
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        if role == "server":
            self.process.wait()
        return pids

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=60)

    def remove(self):
        """Stops the server and everything that it runs."""
        self.stop()
        self.run("clean", "--state-dir", self.state)

    def credentials(self):
        return json.loads((self.state / "credentials.json").read_text())

    def variables(self):
        keys = self.credentials()
        return {
            "AWS_ENDPOINT_URL": ENDPOINT,
            "AWS_ACCESS_KEY_ID": keys["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": keys["secret_access_key"],
            "AWS_DEFAULT_REGION": REGION,
            "AWS_PAGER": "",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
            "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(WORLD),
        }

    def aws(self, *words, check=True):
        """The AWS CLI; gives its answer, or the finished process where a failure is expected."""
        command = ["aws", *map(str, words)]
        run = subprocess.run(
            command, capture_output=True, text=True, timeout=300, env=self.variables(), executable=shutil.which("aws", path=self.variables()["PATH"])
        )
        if not check:
            return run
        if run.returncode != 0:
            pytest.fail(f"{' '.join(command)} ended with {run.returncode}:\n{run.stderr}\n{self.log()}")
        return json.loads(run.stdout) if run.stdout.strip().startswith(("{", "[")) else run.stdout.strip()

    def client(self, service):
        keys = self.credentials()
        return boto3.client(
            service,
            endpoint_url=ENDPOINT,
            region_name=REGION,
            aws_access_key_id=keys["access_key_id"],
            aws_secret_access_key=keys["secret_access_key"],
            config=botocore.config.Config(retries={"max_attempts": 0}, read_timeout=30),
        )


@pytest.fixture(scope="module")
def server():
    made = Server("gantry")
    try:
        made.start()
        made.image(APP_IMAGE, "app:latest")
        yield made
    finally:
        with contextlib.suppress(Exception):
            if os.environ.get("GANTRY_SHOW_LOG"):
                print(made.log())
        made.remove()


@pytest.fixture(scope="module")
def network(server):
    """The default VPC: its id, its subnets, and a security group that lets everything in."""
    ec2 = server.client("ec2")
    vpc = ec2.describe_vpcs(Filters=[{"Name": "isDefault", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    subnets = [each["SubnetId"] for each in ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]]
    group = ec2.create_security_group(GroupName="open", Description="everything in", VpcId=vpc)["GroupId"]
    ec2.authorize_security_group_ingress(
        GroupId=group, IpPermissions=[{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    )
    return {"vpc": vpc, "subnets": subnets, "group": group}


def awsvpc(network):
    return {"awsvpcConfiguration": {"subnets": network["subnets"], "securityGroups": [network["group"]], "assignPublicIp": "ENABLED"}}


ROLE = "arn:aws:iam::123456789012:role/ecsTaskExecutionRole"


def register(ecs, family, *commands, **more):
    """A Fargate task definition with one container of the test program."""
    container = {"name": "app", "image": "app:latest", "command": list(commands) or ["serve", "8000"]}
    container["portMappings"] = [{"containerPort": 8000}]
    container.update(more)
    answer = ecs.register_task_definition(
        family=family,
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        executionRoleArn=ROLE,
        containerDefinitions=[container],
    )
    return answer["taskDefinition"]["taskDefinitionArn"]


def task_of(ecs, cluster, arn):
    return ecs.describe_tasks(cluster=cluster, tasks=[arn])["tasks"][0]


def wait_for_status(ecs, cluster, arn, status, seconds=WAIT_SECONDS_MAX):
    def reached():
        task = task_of(ecs, cluster, arn)
        return task if task["lastStatus"] == status else None

    return wait_for(reached, f"task {arn} is {status}", seconds)


def address_of(task):
    details = {each["name"]: each["value"] for each in task["attachments"][0]["details"]}
    return details["privateIPv4Address"]


class LoadBalanced:
    """A load balancer with one target group and a listener on port 80."""

    def __init__(self, server, network, name, **group):
        elb = server.client("elbv2")
        self.elb = elb
        self.arn = elb.create_load_balancer(Name=name, Subnets=network["subnets"], SecurityGroups=[network["group"]])[
            "LoadBalancers"
        ][0]["LoadBalancerArn"]
        self.group = elb.create_target_group(
            Name=name, Protocol="HTTP", Port=80, VpcId=network["vpc"], **{"TargetType": "ip", **group}
        )["TargetGroups"][0]["TargetGroupArn"]
        self.listener = elb.create_listener(
            LoadBalancerArn=self.arn,
            Protocol="HTTP",
            Port=80,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": self.group}],
        )["Listeners"][0]["ListenerArn"]
        elb.get_waiter("load_balancer_available").wait(LoadBalancerArns=[self.arn], WaiterConfig={"Delay": 1, "MaxAttempts": 30})
        self.name = elb.describe_load_balancers(LoadBalancerArns=[self.arn])["LoadBalancers"][0]["DNSName"]

    def health(self):
        descriptions = self.elb.describe_target_health(TargetGroupArn=self.group)["TargetHealthDescriptions"]
        return {f"{each['Target']['Id']}:{each['Target']['Port']}": each["TargetHealth"] for each in descriptions}

    def states(self):
        return sorted(health["State"] for health in self.health().values())

    def get(self, path="/", timeout=40, method="GET", body=None, headers=None):
        """One request, through getaddrinfo as any client does; gives status, headers and body."""
        connection = http.client.HTTPConnection(self.name, 80, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()


class Load:
    """Virtual users that keep asking; says how many requests failed, and how."""

    def __init__(self, name, users=10, think_seconds=0.0, path="/"):
        self.name, self.path, self.think_seconds = name, path, think_seconds
        self.requests, self.failures, self.slowest = 0, [], 0.0
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self._user, daemon=True) for _ in range(users)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        self.wait_for_requests(20)
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=60)

    def wait_for_requests(self, count):
        """Until so many more requests were answered."""
        goal = self.requests + count
        wait_for(lambda: self.requests >= goal, f"{count} more requests are answered")

    def _user(self):
        connection = None
        while not self._stop.is_set():
            begun = time.monotonic()
            connection, error = self._ask(connection)
            with self._lock:
                self.requests += 1
                self.slowest = max(self.slowest, time.monotonic() - begun)
                if error:
                    self.failures.append((round(time.monotonic(), 3), error))
            if self.think_seconds:
                self._stop.wait(self.think_seconds)

    def _ask(self, connection):
        """One request; gives the connection to go on with and what went wrong. A kept connection that ends before a byte of
        the answer came is tried once more on a new one, as Go's and every browser's client does."""
        reused = connection is not None
        try:
            connection = connection or http.client.HTTPConnection(self.name, 80, timeout=60)
            connection.request("GET", self.path)
            answer = connection.getresponse()
            answer.read()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as failure:
            connection.close()
            return self._ask(None) if reused else (None, repr(failure))
        except (OSError, http.client.HTTPException) as failure:
            return None, repr(failure)
        error = None if answer.status < 400 else f"status {answer.status}"
        if answer.will_close:
            connection.close()
            connection = None
        return connection, error
