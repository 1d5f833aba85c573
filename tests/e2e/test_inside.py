"""What a task finds inside itself: its metadata, its role's credentials and the way to the AWS APIs."""

import contextlib
import http.client
import json
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

import python_image
from conftest import BINARY, REGION, WORLD, address_of, awsvpc, register, wait_for, wait_for_status

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


SLEEP = "import time; time.sleep(3600)"


@pytest.fixture(scope="module")
def sleepers(ecs, network):
    """Two tasks of one role that wait; their ids."""
    arns = [run(ecs, network, define(ecs, "sleeper", "-c", SLEEP), tags=[{"key": "stage", "value": "test"}]) for _ in range(2)]
    for arn in arns:
        wait_for_status(ecs, CLUSTER, arn, "RUNNING")
    return [arn.rsplit("/", 1)[1] for arn in arns]


def python(server, task, code, *arguments):
    """Runs a few lines inside a task; gives what they print, as JSON."""
    done = server.run("exec", "--state-dir", server.state, task, python_image.PYTHON, "-c", code, *arguments)
    return json.loads(done.stdout)


GET = """
import json, os, sys, urllib.error, urllib.request
def get(path):
    url = path if path.startswith("http") else "http://169.254.170.2" + path
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return [answer.status, json.loads(answer.read())]
    except urllib.error.HTTPError as error:
        return [error.code, error.read().decode()]
"""


def environment(server, task):
    return python(server, task, "import json, os; print(json.dumps(dict(os.environ)))")


def test_a_containers_environment_leads_to_its_endpoints(server, ecs, network, sleepers):
    told = environment(server, sleepers[0])
    assert told["AWS_EXECUTION_ENV"] == "AWS_ECS_FARGATE"
    assert (told["AWS_REGION"], told["AWS_DEFAULT_REGION"]) == (REGION, REGION)
    assert told["AWS_ENDPOINT_URL"] == "http://169.254.170.2:4566"
    for name, version in [("ECS_CONTAINER_METADATA_URI", "v3"), ("ECS_CONTAINER_METADATA_URI_V4", "v4")]:
        assert re.fullmatch(rf"http://169\.254\.170\.2/{version}/{sleepers[0]}-[0-9]{{10}}", told[name])
    assert re.fullmatch(r"/v2/credentials/[0-9a-f-]{36}", told["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"])
    # What the definition says stands, and without a role there are no credentials.
    own = define(ecs, "own", "-c", SLEEP, role=None, environment=[{"name": "AWS_ENDPOINT_URL", "value": "http://own"}])
    arn = run(ecs, network, own)
    wait_for_status(ecs, CLUSTER, arn, "RUNNING")
    told = environment(server, arn)
    assert told["AWS_ENDPOINT_URL"] == "http://own" and told["AWS_REGION"] == REGION
    assert "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" not in told
    ecs.stop_task(cluster=CLUSTER, task=arn)


def test_metadata_of_every_version_is_read_from_inside(server, ecs, sleepers):
    code = GET + """
uri = os.environ["ECS_CONTAINER_METADATA_URI_V4"]
paths = {"container": uri, "task": uri + "/task", "tags": uri + "/taskWithTags", "stats": uri + "/stats", "all": uri + "/task/stats",
         "v3": os.environ["ECS_CONTAINER_METADATA_URI"] + "/task", "v2": "/v2/metadata", "v2stats": "/v2/stats"}
print(json.dumps({name: get(path) for name, path in paths.items()}))
"""
    told = python(server, sleepers[0], code)
    assert {status for status, _ in told.values()} == {200}, told
    told = {name: document for name, (_, document) in told.items()}
    shown = ecs.describe_tasks(cluster=CLUSTER, tasks=[sleepers[0]])["tasks"][0]
    container = told["container"]
    assert container["DockerId"] == shown["containers"][0]["runtimeId"]
    assert container["ContainerARN"] == shown["containers"][0]["containerArn"]
    assert container["ImageID"] == shown["containers"][0]["imageDigest"]
    assert (container["Name"], container["Image"], container["KnownStatus"]) == ("app", "python:latest", "RUNNING")
    assert container["Networks"][0]["IPv4Addresses"] == [address_of(shown)]
    task = told["task"]
    assert task["TaskARN"] == shown["taskArn"] and task["Cluster"] == shown["clusterArn"]
    assert (task["Family"], task["Revision"], task["KnownStatus"]) == ("sleeper", shown["taskDefinitionArn"].rsplit(":")[-1], "RUNNING")
    assert task["Limits"] == {"CPU": 0.25, "Memory": 512}
    assert (task["LaunchType"], task["AvailabilityZone"]) == ("FARGATE", shown["availabilityZone"])
    assert [each["Name"] for each in task["Containers"]] == ["~internal~ecs~pause", "app"]
    assert told["tags"]["TaskTags"] == {"stage": "test"} and "TaskTags" not in task
    for version in ["v2", "v3"]:
        assert told[version]["TaskARN"] == shown["taskArn"] and "LaunchType" not in told[version]
    assert told["stats"]["memory_stats"]["usage"] > 1_000_000
    assert told["stats"]["cpu_stats"]["cpu_usage"]["total_usage"] > 1_000_000
    assert told["stats"]["networks"]["eth0"]["rx_packets"] > 0
    assert told["all"].keys() == told["v2stats"].keys() == {each["DockerId"] for each in task["Containers"]}


def test_a_task_reads_nothing_of_another(server, sleepers):
    other = environment(server, sleepers[1])
    code = GET + "print(json.dumps([get(path) for path in sys.argv[1:]]))"
    credentials, metadata = other["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"], other["ECS_CONTAINER_METADATA_URI_V4"]
    paths = [credentials, metadata, metadata + "/task", metadata + "/stats", "/v2/credentials/" + "0" * 36, "/v2/credentials/", "/"]
    answers = python(server, sleepers[0], code, *paths)
    assert [status for status, _ in answers] == [400, 404, 404, 404, 400, 404, 404], answers
    assert "SecretAccessKey" not in json.dumps(answers)
    ((status, own),) = python(server, sleepers[1], code, credentials)
    assert status == 200 and own["RoleArn"] == ROLE and own["AccessKeyId"].startswith("ASIA")
    assert set(own) == {"RoleArn", "AccessKeyId", "SecretAccessKey", "Token", "Expiration"}
    # And neither the API nor the log tells them.
    log = server.log_path.read_text(errors="replace")
    assert own["SecretAccessKey"] not in log and own["Token"] not in log and credentials not in log


def test_hostile_requests_end_and_harm_nobody(server, sleepers):
    code = r"""
import json, socket
def ask(data):
    connection = socket.create_connection(("169.254.170.2", 80), timeout=60)
    answer = b""
    try:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while piece := connection.recv(4096):
            answer += piece
    except OSError:
        pass
    return answer[:12].decode(errors="replace")
print(json.dumps([
    ask(b"GET /v2/metadata HTTP/1.1\r\nHost: x\r\n\r\n"),
    ask(b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
    ask(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10000 + b"\r\n"),
    ask(b"POST /v2/metadata HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n" + b"x" * 100000),
    ask(b"\x16\x03\x01\x02\x00" + b"\xff" * 500),
    ask(b"GET /v4/../../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n"),
    ask(b""),
]))
"""
    answers = python(server, sleepers[0], code)
    assert answers[0] == "HTTP/1.1 200", answers
    # A peer that is still being sent to may lose the answer with the connection.
    assert all(answer.startswith("HTTP/1.1 4") or answer == "" for answer in answers[1:]), answers
    many = """
import json, socket
held = []
for _ in range(200):
    try: held.append(socket.create_connection(("169.254.170.2", 80), timeout=5))
    except OSError: pass
print(json.dumps(len(held)))
"""
    python(server, sleepers[0], many)
    code = GET + "print(json.dumps(get('/v2/metadata')[0]))"
    assert python(server, sleepers[0], code) == 200 and python(server, sleepers[1], code) == 200


def test_a_role_that_does_not_exist_or_trusts_others_is_refused(server, ecs, network):
    iam = server.client("iam")
    trust = json.loads(json.dumps(TRUST).replace("ecs-tasks", "ec2"))
    iam.create_role(RoleName="Other", AssumeRolePolicyDocument=json.dumps(trust))
    for role in ["Nobody", "Other"]:
        arn = f"arn:aws:iam::123456789012:role/{role}"
        with pytest.raises(ecs.exceptions.ClientException) as caught:
            run(ecs, network, define(ecs, "refused", "-c", SLEEP, role=arn))
        assert f"ECS was unable to assume the role '{arn}' that was provided for this task." in str(caught.value)
        with pytest.raises(ecs.exceptions.ClientException):
            run(ecs, network, define(ecs, "overridden", "-c", SLEEP), overrides={"taskRoleArn": arn})


def test_a_role_of_the_call_replaces_the_definitions(server, ecs, network):
    server.client("iam").create_role(RoleName="Second", AssumeRolePolicyDocument=json.dumps(TRUST))
    second = "arn:aws:iam::123456789012:role/Second"
    arn = run(ecs, network, define(ecs, "second", "-c", SLEEP), overrides={"taskRoleArn": second})
    wait_for_status(ecs, CLUSTER, arn, "RUNNING")
    code = "import boto3, json; print(json.dumps(boto3.client('sts').get_caller_identity()['Arn']))"
    task = arn.rsplit("/", 1)[1]
    assert python(server, arn, code) == f"arn:aws:sts::123456789012:assumed-role/Second/{task}"
    # A role that is gone is worth nothing, also to who runs already.
    server.client("iam").delete_role(RoleName="Second")
    code = """
import boto3, botocore.exceptions, json
try: print(json.dumps(boto3.client("sts").get_caller_identity()["Arn"]))
except botocore.exceptions.ClientError as error: print(json.dumps(error.response["Error"]["Code"]))
"""
    assert python(server, arn, code) == "InvalidClientTokenId"
    ecs.stop_task(cluster=CLUSTER, task=arn)


def test_a_command_has_its_streams_and_its_exit_code(server, sleepers):
    def execute(*words, **options):
        return server.run("exec", "--state-dir", server.state, *words, check=False, **options)

    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(42)"
    done = execute(sleepers[0][:12], python_image.PYTHON, "-c", code)
    assert (done.returncode, done.stdout, done.stderr) == (42, "out\n", "err\n")
    text = "line\n" * 100_000
    copy = "import shutil, sys; shutil.copyfileobj(sys.stdin, sys.stdout)"
    done = execute("-i", sleepers[0], python_image.PYTHON, "-c", copy, input=text)
    assert (done.returncode, done.stdout) == (0, text)
    # Without -i there is nothing to read.
    done = execute(sleepers[0], python_image.PYTHON, "-c", copy, input=text)
    assert (done.returncode, done.stdout) == (0, "")
    done = execute(sleepers[0], python_image.PYTHON, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert done.returncode == 137
    done = execute("-e", "A=b", "-w", "/tmp", sleepers[0], python_image.PYTHON, "-c", "import os; print(os.environ['A'], os.getcwd())")
    assert done.stdout == "b /tmp\n"


def test_what_cannot_be_run_is_explained(server, ecs, network, sleepers):
    def refused(*words):
        done = server.run("exec", "--state-dir", server.state, *words, check=False)
        return done.returncode, done.stderr

    code, words = refused(sleepers[0])
    assert code == 127 and "no such file" in words and "the image has no shell" in words
    code, words = refused("nothing")
    assert code == 1 and "no task, service or family here is called nothing; there are:" in words and sleepers[0] in words
    code, words = refused("sleeper", "x")
    assert code == 1 and "sleeper may be any of 2 tasks:" in words
    code, words = refused("--container", "db", sleepers[0], "x")
    assert code == 1 and "there is no container db" in words and "app RUNNING" in words
    done = server.run("exec", "--state-dir", WORLD / "nowhere", "x", check=False)
    assert done.returncode == 1 and "no node answers" in done.stderr and "gantry server --detach" in done.stderr


class Terminal:
    """A command at a terminal of its own."""

    def __init__(self, words, rows, columns):
        self.process, self.master = None, None
        pid, self.master = pty.fork()
        if pid == 0:
            os.execv(words[0], list(map(str, words)))
        self.pid = pid
        self.text = b""
        self.resize(rows, columns)

    def resize(self, rows, columns):
        import fcntl

        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def expect(self, words, seconds=20):
        end = time.monotonic() + seconds
        while words.encode() not in self.text:
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            assert ready, f"{words!r} did not come: {self.text!r}"
            with contextlib.suppress(OSError):
                self.text += os.read(self.master, 4096)
                continue
            pytest.fail(f"{words!r} did not come before the end: {self.text!r}")
        self.text = self.text.split(words.encode(), 1)[1]

    def type(self, words):
        os.write(self.master, words.encode())

    def end(self):
        with contextlib.suppress(OSError):
            while os.read(self.master, 4096):
                pass
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)


def test_a_terminal_is_one_inside_too(server, sleepers):
    code = """
import os, signal, sys
def size(*_): os.write(1, ("size %d %d\\n" % tuple(os.get_terminal_size(0))).encode())
signal.signal(signal.SIGWINCH, size)
print("here", sys.stdin.isatty(), sys.stdout.isatty(), os.environ["TERM"], flush=True)
try:
    while True: print("got", input(), flush=True)
except KeyboardInterrupt: print("interrupted", flush=True)
sys.exit(7)
"""
    words = [BINARY, "exec", "--state-dir", server.state, sleepers[0], python_image.PYTHON, "-c", code]
    terminal = Terminal(words, 30, 90)
    terminal.expect("here True True")
    # Whatever size it began with, it follows.
    terminal.resize(40, 120)
    terminal.expect("size 120 40")
    terminal.type("hello\r")
    terminal.expect("got hello")
    terminal.type("\x03")
    terminal.expect("interrupted")
    assert terminal.end() == 7


def test_a_command_ends_with_who_asked_and_outlives_the_node(server, sleepers):
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(3600)"
    words = [BINARY, "exec", "--state-dir", server.state, sleepers[0], python_image.PYTHON, "-c", code]

    def inside():
        found = [path for path in pathlib.Path("/proc").glob("[0-9]*/cmdline") if code.encode() in read(path)]
        return [path for path in found if b"gantry" not in read(path).split(b"\0")[0]]

    def read(path):
        try:
            return path.read_bytes()
        except OSError:
            return b""

    # A signal is the command's.
    asked = subprocess.Popen(words, stdout=subprocess.PIPE)
    asked.stdout.readline()
    server.kill("node")
    wait_for(lambda: server.pids("node"), "the node is back")
    assert asked.poll() is None, "a node that is restarted cuts nobody off"
    asked.send_signal(signal.SIGTERM)
    assert asked.wait(timeout=20) == 143
    asked = subprocess.Popen(words, stdout=subprocess.PIPE)
    asked.stdout.readline()
    assert inside()
    asked.kill()
    asked.wait()
    wait_for(lambda: not inside(), "the command is gone")


def test_a_port_is_forwarded_whoever_may_reach_the_task(server, ecs, network):
    ec2 = server.client("ec2")
    closed = ec2.create_security_group(GroupName="closed", Description="nothing in", VpcId=network["vpc"])["GroupId"]
    definition = register(ecs, "page")
    arn = run(ecs, dict(network, group=closed), definition)
    wait_for_status(ecs, CLUSTER, arn, "RUNNING")
    words = [BINARY, "forward", "--state-dir", server.state, "page", "8000:0"]
    forward = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        port = int(re.match(r"127\.0\.0\.1:([0-9]+) leads to port 8000 of app", forward.stdout.readline())[1])
        connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=20) for _ in range(8)]
        for _ in range(2):
            for connection in connections:
                connection.request("GET", "/")
                answer = connection.getresponse()
                assert answer.status == 200 and answer.read().startswith(b"hello from")
        forward.send_signal(signal.SIGINT)
        assert forward.wait(timeout=20) == 0
    finally:
        forward.kill()
    done = server.run("forward", "--state-dir", server.state, "page", "http", check=False)
    assert done.returncode == 2 and "is no port" in done.stderr
    words[-1] = "9:0"
    forward = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        port = int(re.match(r"127\.0\.0\.1:([0-9]+)", forward.stdout.readline())[1])
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("GET", "/")
            connection.getresponse()
        assert "nothing listens on port 9 of the container" in forward.stderr.readline()
    finally:
        forward.kill()
        forward.wait()
    ecs.stop_task(cluster=CLUSTER, task=arn)


def test_a_task_notices_neither_a_restarted_node_nor_a_restarted_control(server, sleepers):
    code = """
import boto3, json, sys, urllib.request, os
for _ in range(30):
    url = "http://169.254.170.2" + os.environ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]
    key = json.loads(urllib.request.urlopen(url, timeout=30).read())["AccessKeyId"]
    arn = boto3.client("sts").get_caller_identity()["Arn"]
    print(key, arn, flush=True)
"""
    words = [BINARY, "exec", "--state-dir", server.state, sleepers[0], python_image.PYTHON, "-c", code]
    calls = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = [calls.stdout.readline()]
    server.kill("control")
    lines += [calls.stdout.readline() for _ in range(5)]
    server.kill("node")
    rest, errors = calls.communicate(timeout=120)
    lines += rest.splitlines(keepends=True)
    assert calls.returncode == 0, errors
    assert len(lines) == 30 and len(set(lines)) == 1, "the same credentials before and after"
