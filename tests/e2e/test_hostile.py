"""Clients that break every rule: each is told so in its protocol's form, and the next one is served."""

import datetime
import io
import json
import os
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
import unittest.mock

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

from conftest import BINARY, awsvpc, register, wait_for_status
from raw_http import exchange, post

API = ("127.0.0.1", 4566)
TARGET = "AmazonEC2ContainerServiceV20141113"
FORM = "application/x-www-form-urlencoded"
BODY_BYTES_MAX = 6 << 20
MISMATCH = "The request signature we calculated does not match the signature you provided."
WRONG_KEY = "AWS was not able to validate the provided access credentials"

# A service of each protocol: its name, a call that reads, and the headers of the protocol.
JSON = ("ecs", b"{}", {"X-Amz-Target": f"{TARGET}.ListClusters", "Content-Type": "application/x-amz-json-1.1"})
QUERY = ("iam", b"Action=ListRoles&Version=2010-05-08", {"Content-Type": FORM})
EC2 = ("ec2", b"Action=DescribeVpcs&Version=2016-11-15", {"Content-Type": FORM})
# Bodies of the same length that ask for something else.
OTHER_BODIES = {"ecs": b"[]", "iam": b"Action=ListUsers&Version=2010-05-08", "ec2": b"Action=DescribeTags&Version=2016-11-15"}
PROTOCOLS = pytest.mark.parametrize("protocol", [JSON, QUERY, EC2], ids=["json", "query", "ec2"])


@pytest.fixture(scope="module", autouse=True)
def ecs(server):
    client = server.client("ecs")
    client.create_cluster(clusterName="kept")
    return client


@pytest.fixture(autouse=True)
def lives(server, ecs):
    """Whatever a test did: the same process answers the next call, and what was there is there."""
    before = server.pids("control")
    yield
    assert ecs.list_clusters()["clusterArns"] == ["arn:aws:ecs:us-east-1:123456789012:cluster/kept"]
    assert server.pids("control") == before, f"control died:\n{server.log()}"


def signed(server, protocol, body=None, path="/", keys=None, ago=datetime.timedelta()):
    """A request as botocore signs it: the method's bytes, and its headers as lines."""
    service, usual, headers = protocol
    body = usual if body is None else body
    own = server.credentials()
    keys = keys or (own["access_key_id"], own["secret_access_key"])
    request = botocore.awsrequest.AWSRequest("POST", f"http://127.0.0.1:4566{path}", headers=dict(headers), data=body)
    real = botocore.auth.get_current_datetime
    with unittest.mock.patch("botocore.auth.get_current_datetime", lambda *args, **more: real(*args, **more) - ago):
        signer = botocore.auth.SigV4Auth(botocore.credentials.Credentials(*keys), service, "us-east-1")
        signer.add_auth(request)
    return post(body, *(f"{name}: {value}" for name, value in request.headers.items()), path=path)


def error_of(request, status, code):
    answer = exchange(API, request)
    assert answer and answer.status == status, answer
    assert answer.error()[0] == code, answer
    return answer.error()[1]


@PROTOCOLS
def test_a_signed_call_is_answered(server, protocol):
    assert exchange(API, signed(server, protocol)).status == 200


SIGNATURES = {
    # what is wrong: status and code for JSON, Query and EC2, and the message's beginning for each
    "unsigned": (
        (400, "MissingAuthenticationTokenException", "Missing Authentication Token"),
        (403, "MissingAuthenticationToken", "Request is missing Authentication Token"),
        (403, "MissingAuthenticationToken", "Request is missing Authentication Token"),
    ),
    "unknown key": (
        (400, "UnrecognizedClientException", "The security token included in the request is invalid."),
        (403, "InvalidClientTokenId", "The security token included in the request is invalid."),
        (401, "AuthFailure", WRONG_KEY),
    ),
    "expired": (
        (400, "InvalidSignatureException", "Signature expired: "),
        (403, "SignatureDoesNotMatch", "Signature expired: "),
        (401, "AuthFailure", WRONG_KEY),
    ),
    "from the future": (
        (400, "InvalidSignatureException", "Signature not yet current: "),
        (403, "SignatureDoesNotMatch", "Signature not yet current: "),
        (401, "AuthFailure", WRONG_KEY),
    ),
    "garbage": (
        (400, "IncompleteSignatureException", ""),
        (400, "IncompleteSignature", ""),
        (400, "IncompleteSignature", ""),
    ),
}
TAMPERED = (
    (400, "InvalidSignatureException", MISMATCH),
    (403, "SignatureDoesNotMatch", MISMATCH),
    (401, "AuthFailure", WRONG_KEY),
)
SIGNATURES |= {"wrong secret": TAMPERED, "tampered body": TAMPERED, "tampered header": TAMPERED, "tampered query": TAMPERED}


@pytest.mark.parametrize("wrong", SIGNATURES)
@PROTOCOLS
def test_a_signature_that_does_not_hold(server, protocol, wrong):
    service, body, headers = protocol
    day = datetime.timedelta(days=1)
    own = server.credentials()
    request = {
        "unsigned": lambda: post(body, *(f"{name}: {value}" for name, value in headers.items())),
        "unknown key": lambda: signed(server, protocol, keys=("AKIAUNKNOWNUNKNOWN00", "secret")),
        "wrong secret": lambda: signed(server, protocol, keys=(own["access_key_id"], "secret")),
        "expired": lambda: signed(server, protocol, ago=day),
        "from the future": lambda: signed(server, protocol, ago=-day),
        "tampered body": lambda: swap(signed(server, protocol), body, OTHER_BODIES[service]),
        "tampered header": lambda: swap(signed(server, protocol), b"Host: 127.0.0.1:4566", b"Host: 127.0.0.2:4566"),
        "tampered query": lambda: swap(signed(server, protocol, path="/?a=1"), b"/?a=1", b"/?a=2"),
        "garbage": lambda: post(body, *(f"{name}: {value}" for name, value in headers.items()), "Authorization: AWS4-HMAC-SHA256 ,=,;"),
    }[wrong]()  # fmt: skip
    status, code, message = SIGNATURES[wrong][[JSON, QUERY, EC2].index(protocol)]
    assert error_of(request, status, code).startswith(message)


def swap(request, old, new):
    assert request.count(old) == 1
    return request.replace(old, new)


@pytest.mark.parametrize(
    "body",
    [
        b"{", b'{"a":', b"[]", b'"text"', b"nul", b"{'a':1}", b"\xff\xfe{}", b'{"nextToken":"\xff"}', b'{"maxResults":"ten"}',
        b'{"maxResults":{}}', b'{"nextToken":["a"]}', b'{"maxResults":1e999}', b'{"nextToken":"\\ud800"}', b'{"a":' * 100_000,
        b"[" * 100_000, b'{"nextToken":' + b"[" * 90 + b"]" * 90 + b"}", b"{}{}", b"\0" * 1000,
    ],
    ids=lambda body: repr(body[:24]),
)  # fmt: skip
def test_malformed_json(server, body):
    error_of(signed(server, JSON, body), 400, "SerializationException")


@pytest.mark.parametrize(
    "more, code",
    [
        (b"&PathPrefix=%zz", "MalformedQueryString"),
        (b"&PathPrefix=%", "MalformedQueryString"),
        (b"&PathPrefix=%f", "MalformedQueryString"),
        (b"&PathPrefix=%ff%fe", "MalformedQueryString"),
        (b"&PathPrefix=\xff", "MalformedQueryString"),
        (b"&a=b" * 30_000, "MalformedQueryString"),
    ],
    ids=lambda part: repr(part[:24]),
)
@pytest.mark.parametrize("protocol", [QUERY, EC2], ids=["query", "ec2"])
def test_malformed_forms(server, protocol, more, code):
    error_of(signed(server, protocol, protocol[1] + more), 400, code)


@pytest.mark.parametrize(
    "more",
    [
        b"&Filters.member.1=x", b"&Filters.member.999999999=x", b"&Filters.member.0.Name=x", b"&Filters.member.-1.Name=x",
        b"&Filters.member.99999999999999999999999.Name=x", b"&Tags" + b".member.1" * 5000 + b"=x", b"&MaxItems=ten", b"&MaxItems=",
        b"&PathPrefix.member.1=x", b"&.=x", b"&...=", b"&=&=&=",
    ],
    ids=lambda part: repr(part[:32]),
)  # fmt: skip
@pytest.mark.parametrize("protocol", [QUERY, EC2], ids=["query", "ec2"])
def test_strange_parameters_are_ignored_or_named(server, protocol, more):
    if protocol is EC2:
        more = more.replace(b".member", b"").replace(b"Filters", b"Filter").replace(b"MaxItems", b"MaxResults")
    answer = exchange(API, signed(server, protocol, protocol[1] + more), seconds=2)
    assert answer.status == 200 or (answer.status == 400 and all(answer.error())), answer
    assert len(answer.body) < 4096, "an error repeats what it was told, up to a limit"


# ---- the endpoint as a server of HTTP


def test_a_body_that_never_ends_blocks_nobody(ecs):
    request = post(b"{}", f"X-Amz-Target: {TARGET}.ListClusters").replace(b"Content-Length: 2", b"Content-Length: 3000000")
    chunked = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc"
    endless = [open_with(request) for _ in range(30)] + [open_with(chunked) for _ in range(30)]
    begun = time.monotonic()
    for _ in range(10):
        ecs.list_clusters()
    assert time.monotonic() - begun < 5, "other clients wait for bodies that do not come"
    for each in endless:
        each.close()


def open_with(data):
    stream = socket.create_connection(API, timeout=10)
    stream.sendall(data)
    return stream


def test_a_body_that_is_too_large_is_not_read(server):
    body = b"a" * (64 << 20)
    answer = exchange(API, signed(server, JSON, b"{}").replace(b"Content-Length: 2", f"Content-Length: {len(body)}".encode()) + body)
    assert answer.status == 413, answer
    assert answer.error()[0] == "RequestEntityTooLarge"
    assert answer.sent < BODY_BYTES_MAX + (16 << 20), "it was read to its end"


def chunks_without_end(server):
    head = swap(signed(server, JSON), b"Content-Length: 2\r\n", b"Transfer-Encoding: chunked\r\n")
    return head.rpartition(b"{}")[0] + (b"10000\r\n" + b"a" * 65536 + b"\r\n") * 1000


def test_chunks_without_end_are_cut(server):
    answer = exchange(API, chunks_without_end(server))
    assert answer.status == 413 and answer.error()[0] == "RequestEntityTooLarge", answer
    assert answer.sent < BODY_BYTES_MAX + (16 << 20)


@pytest.mark.parametrize(
    "lines", [["X-Large: " + "a" * 100_000], ["X-Large: " + "a" * 2000] * 50, ["X: a"] * 300], ids=["one", "together", "many"]
)
def test_a_header_that_is_too_large(lines):
    request = post(b"{}", f"X-Amz-Target: {TARGET}.ListClusters", "Content-Type: application/x-amz-json-1.1", *lines)
    assert error_of(request, 400, "RequestHeaderSectionTooLarge")


@pytest.mark.parametrize(
    "request_bytes, statuses",
    [
        (post(b"", *["X: a"] * 10_000), {400, 431}),
        (b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\nHost: a\r\n\r\n", {400, 414, 431}),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * (4 << 20), {400, 431}),
        (os.urandom(100_000), {400}),
        (b"\0" * 100_000, {400}),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 500, {400}),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 505}),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", {400}),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", {400}),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", {400}),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", {400}),
        (b"GET /%zz%00?%ff HTTP/1.1\r\nHost: a\r\n\r\n", {400, 403, 404}),
        (b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", {400, 403, 404, 405}),
    ],
    ids=["headers", "line", "header", "random", "zeros", "tls", "http2", "minus", "huge", "two-lengths", "chunk", "path", "method"],
)
def test_what_is_no_request(request_bytes, statuses):
    answer = exchange(API, request_bytes)
    assert answer is None or answer.status in statuses, answer


def test_connections_that_say_nothing_block_nobody(ecs):
    idle = [open_with(b"") for _ in range(100)] + [open_with(b"POST / HT") for _ in range(100)]
    begun = time.monotonic()
    for _ in range(10):
        ecs.list_clusters()
    assert time.monotonic() - begun < 5
    for each in idle:
        each.close()


# ---- images


def archive(path, files):
    """A docker archive of one layer that holds `files`: pairs of a TarInfo and its bytes."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for info, data in files:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return docker_archive(path, layer.getvalue(), digest_of(layer.getvalue()))


def digest_of(data):
    return subprocess.run(["sha256sum"], input=data, capture_output=True, check=True).stdout.decode().split()[0]


def docker_archive(path, layer, diff_id):
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/app"]}, "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]}})  # fmt: skip
    manifest = [{"Config": "config.json", "RepoTags": ["hostile:latest"], "Layers": ["layer.tar"]}]
    with tarfile.open(path, "w") as tar:
        for name, data in (("config.json", config.encode()), ("layer.tar", layer), ("manifest.json", json.dumps(manifest).encode())):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def entry(name, kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def images(server):
    return server.run("image", "ls", "--json", "--state-dir", server.state).stdout


def refuse(server, path):
    """Loads what must not be loaded; gives what was said."""
    before = images(server)
    run = server.run("image", "load", path, "--state-dir", server.state, check=False)
    assert run.returncode == 1, run
    assert images(server) == before
    return run.stderr


def oci_archive(path, manifest_digest=None):
    layer = b"\0" * 1024
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest_of(layer)}"]}}).encode()  # fmt: skip
    describe = lambda kind, data: {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest_of(data)}", "size": len(data)}
    manifest = json.dumps({"schemaVersion": 2, "config": describe("config.v1+json", config), "layers": [describe("layer.v1.tar", layer)]}).encode()  # fmt: skip
    index = {"schemaVersion": 2, "manifests": [describe("manifest.v1+json", manifest) | {"annotations": {"org.opencontainers.image.ref.name": "hostile:latest"}}]}  # fmt: skip
    blobs = {digest_of(data): data for data in (config, manifest)} | {digest_of(layer): b"\1" * 1024}
    with tarfile.open(path, "w") as tar:
        files = {f"blobs/sha256/{digest}": data for digest, data in blobs.items()}
        for name, data in (files | {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": json.dumps(index).encode()}).items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_an_image_that_does_not_match_its_digest(server, tmp_path):
    said = refuse(server, oci_archive(tmp_path / "oci.tar"))
    assert "the archive is damaged: the content of blobs/sha256/" in said and "does not match its name" in said, said
    said = refuse(server, docker_archive(tmp_path / "docker.tar", b"\0" * 1024, "0" * 64))
    assert "layer layer.tar does not match the image's configuration: expected sha256:000" in said, said


@pytest.mark.parametrize("how", ["dots", "absolute", "symlink", "hard link"])
def test_a_layer_that_leaves_its_root(server, ecs, network, tmp_path, how):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("untouched")
    up = "../" * 40 + str(outside).lstrip("/")
    files = {
        "dots": [(entry(f"{up}/written"), b"x")],
        "absolute": [(entry(f"/{outside}/../../../../../../../../{outside}/written"), b"x")],
        "symlink": [(entry("door", tarfile.SYMTYPE, str(outside)), b""), (entry("door/written"), b"x")],
        "hard link": [(entry("door", tarfile.LNKTYPE, f"{up}/secret"), b""), (entry("door"), b"x")],
    }[how]
    server.run("image", "load", archive(tmp_path / "image.tar", files), "--state-dir", server.state)
    definition = register(ecs, "leaves", image="hostile:latest")
    run = ecs.run_task(cluster="kept", taskDefinition=definition, launchType="FARGATE", networkConfiguration=awsvpc(network))
    task = wait_for_status(ecs, "kept", run["tasks"][0]["taskArn"], "STOPPED")
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith("CannotPullContainerError: "), task["stoppedReason"]
    assert [each.name for each in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_text() == "untouched"
    assert (outside / "secret").stat().st_nlink == 1
    server.run("image", "rm", "hostile:latest", "--state-dir", server.state)


@pytest.mark.parametrize("data", [b"", b"\0" * 10_000, b"garbage" * 1000, b"\x1f\x8b\x08" + b"a" * 500], ids=["empty", "zeros", "text", "gzip"])
def test_what_is_no_archive(server, tmp_path, data):
    (tmp_path / "image.tar").write_bytes(data)
    assert refuse(server, tmp_path / "image.tar")


def test_tasks_run_afterwards(ecs, network):
    definition = register(ecs, "after")
    run = ecs.run_task(cluster="kept", taskDefinition=definition, launchType="FARGATE", networkConfiguration=awsvpc(network))
    task = run["tasks"][0]["taskArn"]
    wait_for_status(ecs, "kept", task, "RUNNING")
    ecs.stop_task(cluster="kept", task=task)
    wait_for_status(ecs, "kept", task, "STOPPED")


# ---- starting


def test_a_second_server_of_one_state_directory_is_refused(server):
    run = server.run("server", "--state-dir", server.state, "--listen", "127.0.0.1:4999", check=False)
    assert run.returncode == 1
    assert f"process {server.process.pid} holds {server.state}/lock" in run.stderr and "--replace" in run.stderr, run.stderr


def test_a_second_server_of_one_address_is_refused(server, tmp_path):
    run = server.run("server", "--state-dir", tmp_path / "other", check=False)
    assert run.returncode == 1
    assert "listening on 127.0.0.1:4566" in run.stderr and "--listen" in run.stderr, run.stderr


def as_nobody(state):
    words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    return [*words, BINARY, "server", "--listen", "127.0.0.1:4999", "--state-dir", str(state)]


def test_who_may_not_open_the_state_directory_is_told_what_to_do(server):
    run = subprocess.run(as_nobody(server.state), capture_output=True, text=True, timeout=30)
    assert run.returncode == 1
    assert "Permission denied" in run.stderr and "start it as root (sudo)" in run.stderr and "--state-dir" in run.stderr, run.stderr


def test_who_is_not_root_is_told_what_is_missing():
    # pytest's own directories are private to root.
    state = tempfile.mkdtemp(prefix="gantry-nobody-")
    os.chown(state, 65534, 65534)
    process = subprocess.Popen(as_nobody(state), stderr=subprocess.PIPE, text=True)
    try:
        told = next(line for line in process.stderr if "not root: " in line)
        assert "containers, their networks and ports below 1024 are out of reach; start it with sudo" in told
    finally:
        process.terminate()
        process.wait(timeout=30)
        shutil.rmtree(state)
