"""Clients of a load balancer that break every rule: AWS's codes, nothing smuggled to the application, nobody else waits."""

import os
import socket
import time

import pytest

from conftest import Load, LoadBalanced, awsvpc, register, wait_for
from raw_http import exchange

CLUSTER = "hostile"
CANARY = b"GET /sicken HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(scope="module")
def balancer(server, network):
    made = LoadBalanced(server, network, "hostile")
    ecs = server.client("ecs")
    ecs.create_cluster(clusterName=CLUSTER)
    ecs.create_service(
        cluster=CLUSTER, serviceName="web", taskDefinition=register(ecs, "web"), desiredCount=1, launchType="FARGATE",
        networkConfiguration=awsvpc(network),
        loadBalancers=[{"targetGroupArn": made.group, "containerName": "app", "containerPort": 8000}],
    )  # fmt: skip
    wait_for(lambda: made.states() == ["healthy"], "the target is healthy")
    return made


@pytest.fixture
def address(balancer):
    return socket.getaddrinfo(balancer.name, 80, socket.AF_INET, socket.SOCK_STREAM)[0][4]


@pytest.fixture(autouse=True)
def lives(server, balancer):
    """Whatever a test did: the same process answers the next request, and the application never saw what was hidden."""
    before = server.pids("lb")
    yield
    assert balancer.get("/health", timeout=5)[0] == 200, "a smuggled request reached the application"
    assert server.pids("lb") == before, f"lb died:\n{server.log()}"


def get(*lines, path="/", method="GET", version="HTTP/1.1"):
    return "\r\n".join([f"{method} {path} {version}", "Host: a", *lines, "", ""]).encode()


def headers(bytes_each, count):
    return [f"X-{number}: " + "a" * bytes_each for number in range(count)]


REFUSED = {
    "line of 16 K": (get(path="/" + "a" * (16 << 10)), 414),
    "line of 1 MiB": (get(path="/" + "a" * (1 << 20)), 414),
    "header of 16 K": (get(*headers(16 << 10, 1)), 400),
    "header without end": (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * (1 << 20), 400),
    "64 K in all": (get(*headers(8000, 9)), 400),
    "10,000 headers": (get(*headers(10, 10_000)), 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "transfer coding": (get("Transfer-Encoding: gzip, chunked", method="POST"), 501),
    "version": (get(version="HTTP/2.0"), 505),
    "no version": (b"GET /\r\n\r\n", 400),
    "trace": (get(method="TRACE"), 405),
    "zeros": (b"\0" * 10_000 + b"\r\n\r\n", 400),
    "zeros without end": (b"\0" * 100_000, 414),
    "random": (b"\xff" + os.urandom(10_000).replace(b"\n", b"") + b"\r\n\r\n", 400),
    "tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 500 + b"\r\n\r\n", 400),
    "minus": (get("Content-Length: -1", method="POST"), 400),
    "plus": (get("Content-Length: +5", method="POST") + b"hello", 400),
    "huge": (get("Content-Length: 99999999999999999999", method="POST"), 400),
    "folded": (get("X: folded", " over"), 400),
    "space before colon": (get("Transfer-Encoding : chunked", method="POST"), 400),
    "nul": (get("X: a\0b"), 400),
    "bare CR": (get("X: a\rb"), 400),
    "two lengths": (get("Content-Length: 0", f"Content-Length: {len(CANARY)}", method="POST") + CANARY, 400),
    "unknown coding": (get("Transfer-Encoding: xchunked", method="POST") + b"0\r\n\r\n" + CANARY, 400),
    "chunked twice": (get("Transfer-Encoding: chunked, chunked", method="POST") + b"0\r\n\r\n" + CANARY, 400),
    "chunked in 1.0": (get("Transfer-Encoding: chunked", method="POST", version="HTTP/1.0") + b"0\r\n\r\n" + CANARY, 400),
    "many addresses": (get("X-Forwarded-For: " + ", ".join(["10.0.0.1"] * 31)), 463),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(address, name):
    request, status = REFUSED[name]
    answer = exchange(address, request, to_the_end=name != "many addresses")
    assert answer and answer.status == status, answer
    assert answer.body.startswith(b"<html>") and answer.headers["content-type"].startswith("text/html"), answer
    assert answer.behind == b"", "what came behind was read as a request"


# Recipients may read these differently: they are served, and then the connection ends, so that nothing can follow.
AMBIGUOUS = {
    "length and chunked": get("Content-Length: 4", "Transfer-Encoding: chunked", method="POST", path="/echo") + b"0\r\n\r\n",
    "chunked and length": get("Transfer-Encoding: chunked", "Content-Length: 300", method="POST", path="/echo") + b"0\r\n\r\n",
    "the same length twice": get("Content-Length: 5", "Content-Length: 5", method="POST", path="/echo") + b"hello",
    "a GET with a body": get("Content-Length: 5", path="/echo") + b"hello",
    "bare LF": b"GET /echo HTTP/1.1\nHost: a\n\n",
    "underscore": get("Transfer_Encoding: chunked", "Content-Length: 5", method="POST", path="/echo") + b"0\r\n\r\n",
    "two hosts": get("Host: b", path="/echo"),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_what_is_ambiguous_ends_the_connection(address, name):
    answer = exchange(address, AMBIGUOUS[name] + CANARY, to_the_end=True)
    assert answer and answer.status == 200 and answer.closed, answer
    assert answer.behind == b"" and b"sick" not in answer.received, "what came behind was read as a request"


@pytest.mark.parametrize("chunk", [b"zz\r\n", b"-1\r\n", b"5\r\nhelloworld\r\n", b"ffffffffffffffffff\r\n", b"5" + b";a" * 5000], ids=repr)
def test_broken_chunks(address, chunk):
    answer = exchange(address, get("Transfer-Encoding: chunked", method="POST", path="/echo") + chunk + CANARY, to_the_end=True)
    assert answer is None or answer.status == 400 and answer.behind == b"", answer


def test_a_body_that_ends_early(address, balancer):
    with socket.create_connection(address, timeout=10) as stream:
        stream.sendall(get("Content-Length: 100", method="POST", path="/echo") + b"half")
        stream.shutdown(socket.SHUT_WR)
        assert stream.recv(4096)[:12] in (b"HTTP/1.1 400", b"")


def test_slow_clients_block_nobody(address, balancer):
    slow = []
    for start in (b"", b"GET", get()[:-2], get("Content-Length: 100000", method="POST", path="/echo") + b"a"):
        for _ in range(100):
            stream = socket.create_connection(address, timeout=10)
            stream.sendall(start)
            slow.append(stream)
    with Load(balancer.name) as load:
        load.wait_for_requests(500)
        for stream in slow:
            stream.sendall(b"a")
        load.wait_for_requests(500)
    for stream in slow:
        stream.close()
    assert load.failures == [] and load.slowest < 5, load.slowest


def test_a_client_that_reads_nothing_blocks_nobody(address, balancer):
    deaf = []
    for _ in range(20):
        stream = socket.create_connection(address, timeout=10)
        stream.sendall(get(path="/bytes?n=20000000"))
        deaf.append(stream)
    with Load(balancer.name) as load:
        load.wait_for_requests(200)
    for stream in deaf:
        stream.close()
    assert load.failures == [] and load.slowest < 5, load.slowest


def test_who_says_nothing_is_told_and_left(balancer, address):
    change = lambda seconds: balancer.elb.modify_load_balancer_attributes(
        LoadBalancerArn=balancer.arn, Attributes=[{"Key": "idle_timeout.timeout_seconds", "Value": str(seconds)}]
    )
    change(1)
    try:

        # A connection that was made before the change was told keeps the time-out it began with: try again with a new one.
        def left():
            try:
                return exchange(address, b"GET / HTTP/1.1\r\nHost:", to_the_end=True, seconds=5)
            except TimeoutError:
                return None

        answer = wait_for(left, "an idle client is left")
        assert answer.status == 408, answer
    finally:
        change(60)
