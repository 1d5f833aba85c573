"""Images that are not here: tasks that name them run, or say why not."""

import json
import os
import subprocess
import time

import pytest

from conftest import BINARY, WORLD, awsvpc, register, task_of, wait_for, wait_for_status
from plain_registry import PASSWORD, USER, Proxy, Registry

CLUSTER = "pull"


@pytest.fixture(scope="module")
def ecs(server):
    client = server.client("ecs")
    client.create_cluster(clusterName=CLUSTER)
    return client


@pytest.fixture(scope="module")
def archive(server):
    path = WORLD / "app.tar"
    server.run("image", "save", "app:latest", "--output", path, "--state-dir", server.state)
    return path


@pytest.fixture
def registry(tmp_path):
    made = Registry(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def settings(server):
    """Writes registries.toml; the next pull reads it."""
    path = server.state / "registries.toml"
    yield path.write_text
    path.unlink(missing_ok=True)


def run(ecs, network, image, *commands):
    definition = register(ecs, "pull", *commands, image=image)
    answer = ecs.run_task(
        cluster=CLUSTER, taskDefinition=definition, launchType="FARGATE", networkConfiguration=awsvpc(network)
    )
    assert not answer["failures"]
    return answer["tasks"][0]["taskArn"]


def end_of(ecs, network, image, *commands):
    task = wait_for_status(ecs, CLUSTER, run(ecs, network, image, *commands), "STOPPED")
    return task, task["containers"][0]


def credentials(registry):
    return f"[registry.'{registry.address}']\nusername = '{USER}'\npassword = '{PASSWORD}'\n"


def test_a_task_runs_a_private_image(ecs, network, archive, registry, settings):
    # The same layers are on this machine, in another compression.
    zstd = ["--dest-compress", "--dest-compress-format", "zstd", "--format", "oci"]
    digest, layers = registry.add(archive, "team/app", "1", *zstd)
    registry.private.add("team/app")
    settings(credentials(registry))
    image = f"{registry.address}/team/app:1"
    task, container = end_of(ecs, network, image, "exit", "42")
    assert container["exitCode"] == 42
    assert container["imageDigest"] == digest
    assert task["createdAt"] <= task["pullStartedAt"] <= task["pullStoppedAt"] <= task["startedAt"]
    assert registry.count("/token") == 1 and all(registry.count(layer) == 1 for layer in layers)
    asked = len(registry.requests)
    assert end_of(ecs, network, image, "exit", "7")[1]["exitCode"] == 7
    assert len(registry.requests) == asked, "what is here is used"


@pytest.mark.parametrize("options", [["--format", "v2s2"], ["--format", "oci"], ["--format", "v2s2", "--dest-decompress"]])
def test_what_skopeo_writes_runs(ecs, network, archive, registry, options):
    registry.add(archive, "app", "1", *options)
    assert end_of(ecs, network, f"{registry.address}/app:1", "exit", "3")[1]["exitCode"] == 3


def test_damaged_content_stops_the_task(ecs, network, archive, registry):
    _, layers = registry.add(archive, "damaged", "1")
    registry.blobs[layers[0]] = registry.blobs[layers[0]][:-1] + b"x"
    # What is on this machine already would not be downloaded.
    content = json.loads(registry.blobs[registry.tags["damaged", "1"]])
    fresh = registry.put(os.urandom(1000))
    registry.blobs[fresh] = os.urandom(1000)
    content["layers"][0] |= {"digest": fresh, "size": 1000}
    registry.tags["damaged", "1"] = registry.put(json.dumps(content).encode())
    task, container = end_of(ecs, network, f"{registry.address}/damaged:1")
    reason = task["stoppedReason"]
    assert task["stopCode"] == "TaskFailedToStart"
    assert reason.startswith("CannotPullContainerError: ref pull has been retried 1 time(s): failed to copy: layer ")
    assert f"the digest does not match: expected {fresh}" in reason and "push the image again" in reason
    assert container["reason"] == reason and "exitCode" not in container


def test_what_cannot_be_pulled_says_why(ecs, network, archive, registry, server):
    registry.add(archive, "app", "1")
    registry.private.add("private")
    address = registry.address
    begins = "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref "
    for name, sentence in [
        (f"{address}/app:2", f"{address}/app:2: not found: manifest unknown; check the name and the tag"),
        (f"{address}/private:1", "repository does not exist or may require authorization: unauthorized; check the name"),
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com/missing:1", "not found in this server's registry; push it"),
    ]:
        task, _ = end_of(ecs, network, name)
        assert task["stoppedReason"].startswith(f"{begins}{name}: "), task["stoppedReason"]
        assert sentence in task["stoppedReason"]
    run = server.run("image", "pull", f"{address}/app:2", "--state-dir", server.state, check=False)
    assert run.returncode == 1 and "not found: manifest unknown" in run.stderr and "next:" in run.stderr


def test_trouble_that_passes_is_waited_for(ecs, network, archive, registry):
    registry.add(archive, "app", "1")
    # More than one pull asks again by itself: the node tries a second time.
    registry.failures = 6
    assert end_of(ecs, network, f"{registry.address}/app:1", "exit", "5")[1]["exitCode"] == 5


def test_a_registry_that_is_not_there_is_tried_by_the_agents_schedule(ecs, network):
    begun = time.monotonic()
    task, _ = end_of(ecs, network, "127.0.0.1:1/app:1")
    assert 10 < time.monotonic() - begun < 30, "five attempts in some thirteen seconds"
    assert "has been retried 5 time(s)" in task["stoppedReason"] and "connection refused" in task["stoppedReason"]
    assert "check the network" in task["stoppedReason"]


def large(registry, repository):
    """An image whose layer is new; gives the layer's digest."""
    base = registry.tags["app", "1"]
    manifest = json.loads(registry.blobs[base])
    config = json.loads(registry.blobs[manifest["config"]["digest"]])
    tar = WORLD / f"{repository}-layer"
    tar.mkdir()
    (tar / "noise").write_bytes(os.urandom(300_000))
    content = subprocess.run(["tar", "-C", tar, "-c", "noise"], check=True, capture_output=True).stdout
    layer = registry.put(content)
    config["rootfs"]["diff_ids"].append(layer)
    config["history"] = []
    written = json.dumps(config).encode()
    manifest["config"] |= {"digest": registry.put(written), "size": len(written)}
    kind = "application/vnd.oci.image.layer.v1.tar"
    manifest["layers"].append({"mediaType": kind, "digest": layer, "size": len(content)})
    registry.tags[repository, "1"] = registry.put(json.dumps(manifest).encode())
    return layer


def test_a_stop_ends_a_pull_at_once_and_others_do_not_wait_for_it(ecs, network, archive, registry):
    registry.add(archive, "app", "1")
    registry.stalls = large(registry, "stalling")
    arn = run(ecs, network, f"{registry.address}/stalling:1")
    assert registry.stalled.wait(30)
    task = task_of(ecs, CLUSTER, arn)
    assert task["lastStatus"] in ("PENDING", "PROVISIONING") and "pullStoppedAt" not in task
    assert end_of(ecs, network, "app:latest", "exit", "1")[1]["exitCode"] == 1, "others run meanwhile"
    begun = time.monotonic()
    ecs.stop_task(cluster=CLUSTER, task=arn, reason="enough")
    task = wait_for_status(ecs, CLUSTER, arn, "STOPPED", seconds=5)
    assert registry.left.wait(5), "the download was not ended"
    assert time.monotonic() - begun < 5
    assert task["stoppedReason"] == "enough" and task["stopCode"] == "UserInitiated"


def test_tasks_share_a_pull_that_a_killed_node_begins_again(server, ecs, network, archive, registry):
    registry.add(archive, "app", "1")
    layer = registry.stalls = large(registry, "shared")
    arns = [run(ecs, network, f"{registry.address}/shared:1", "exit", "0") for _ in range(5)]
    assert registry.stalled.wait(30)
    server.kill("node")
    registry.stalls = None
    assert registry.left.wait(10)
    for arn in arns:
        assert wait_for_status(ecs, CLUSTER, arn, "STOPPED")["containers"][0]["exitCode"] == 0
    assert registry.count(layer) == 2, "once before, once after"


def test_the_command_pulls_through_a_proxy(server, archive, registry):
    digest, layers = registry.add(archive, "far/app", "1")
    proxy = Proxy(registry.address)
    try:
        state = WORLD / "elsewhere"
        settings = WORLD / "far.toml"
        settings.write_text("[registry.'far.example:5000']\nhttp = true\n")
        words = ["image", "pull", "far.example:5000/far/app:1", "--state-dir", state, "--registry-config", settings]
        environment = {"PATH": os.environ["PATH"], "http_proxy": proxy.address}
        run = subprocess.run([BINARY, *words], capture_output=True, text=True, timeout=60, env=environment)
        assert run.returncode == 0, run.stderr
        assert digest in run.stdout
        lines = run.stderr.splitlines()
        short = layers[0].removeprefix("sha256:")[:12]
        assert any(line.startswith(f"downloaded {short}") for line in lines), lines
        assert set(proxy.asked) == {"far.example:5000"}
        shown = server.run("image", "ls", "--json", "--state-dir", state)
        assert [each["name"] for each in json.loads(shown.stdout)] == ["far.example:5000/far/app:1"]
        again = subprocess.run([BINARY, *words], capture_output=True, text=True, timeout=60, env=environment)
        assert "nothing was missing here" in again.stderr
    finally:
        proxy.stop()
