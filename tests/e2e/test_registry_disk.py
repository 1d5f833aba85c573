"""The registry on a full disk: a clear answer, the room given back, and pushes again without a restart."""

import json
import os
import subprocess

import pytest

from conftest import Server, wait_for
from test_registry import MIB, Api

DISK = "160m"


@pytest.fixture(scope="module")
def server():
    made = Server("gantry")
    made.state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0700", "disk", made.state], check=True)
    try:
        made.start()
        yield made
    finally:
        made.remove()
        subprocess.run(["umount", "--lazy", made.state], check=True)


def free(server):
    disk = os.statvfs(server.state)
    return disk.f_bavail * disk.f_frsize


def test_a_push_that_does_not_fit_is_refused_and_leaves_nothing(server):
    api = Api(server.aws("ecr", "get-login-password"))
    before = free(server)
    location = api.begin("app")
    status, body = 202, b""
    for _ in range(200):
        status, _, body = api.ask("PATCH", location, os.urandom(MIB))
        if status != 202:
            break
    assert status == 507, body
    assert "no room" in json.loads(body)["errors"][0]["message"]
    assert free(server) > before - 2 * MIB, "what did not fit was given back"
    api.expect(404, "GET", location)
    # The server was never without room for itself, and takes what fits.
    server.client("ecr").create_repository(repositoryName="fits")
    api.image("app", "v1", os.urandom(MIB))
    wait_for(lambda: server.pids("control"), "control lives")
