"""`gantry env --profile`: AWS's own tools find the server by a profile, and everything else in their files stays."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess

import boto3
import pytest

from conftest import BINARY, ENDPOINT, WORLD
from somebody import USER, somebody

CONFIG = "# mine\n[default]\nregion = eu-west-1\n\n[profile prod]\nsso_session = work\n"
CREDENTIALS = "[prod]\naws_access_key_id = AKIAPRODUCTION\n"


@pytest.fixture
def home():
    folder = WORLD / "somebody"
    (folder / ".aws").mkdir(parents=True)
    (folder / ".aws" / "config").write_text(CONFIG)
    (folder / ".aws" / "credentials").write_text(CREDENTIALS)
    yield folder
    shutil.rmtree(folder)


def env(server, *words, home="/", check=True, **more):
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), **more}
    return server.run("env", "--profile", *words, "--state-dir", server.state, env=environment, check=check)


def test_the_aws_cli_and_boto3_use_the_profile(server, home, monkeypatch):
    told = env(server, home=home).stdout
    assert "aws --profile gantry ecs list-clusters" in told
    for name in ("config", "credentials"):
        assert (home / ".aws" / name).stat().st_mode & 0o777 == 0o600
    assert (home / ".aws" / "config").read_text().startswith(CONFIG)
    assert (home / ".aws" / "credentials").read_text().startswith(CREDENTIALS)
    once = (home / ".aws" / "config").read_text()
    env(server, home=home)
    assert (home / ".aws" / "config").read_text() == once

    path = server.variables()["PATH"]
    run = subprocess.run(
        [shutil.which("aws", path=path), "--profile", "gantry", "sts", "get-caller-identity"],
        env={"PATH": path, "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["Account"] == "123456789012"

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    client = boto3.Session(profile_name="gantry").client("ecs")
    assert client.meta.endpoint_url == ENDPOINT
    assert client.list_clusters()["clusterArns"] == []


def test_a_profile_of_an_account_is_refused(server, home):
    for name in ("default", "prod"):
        run = env(server, name, home=home, check=False)
        assert run.returncode == 1
        assert f"has a profile '{name}' that leads to AWS" in run.stderr
    run = env(server, "a b", home=home, check=False)
    assert run.returncode == 1 and "no name for a profile" in run.stderr
    assert (home / ".aws" / "config").read_text() == CONFIG
    assert (home / ".aws" / "credentials").read_text() == CREDENTIALS


def test_with_sudo_it_is_the_profile_of_who_called(server):
    """A process of that user writes it: what it cannot write stays, and the files are theirs."""
    with somebody() as (home, sudo):
        env(server, **sudo)
        for name in ("config", "credentials"):
            found = (home / ".aws" / name).stat()
            assert (found.st_uid, found.st_mode & 0o777) == (USER, 0o600)
        assert "[profile gantry]" in (home / ".aws" / "config").read_text()
        # Somebody else's file behind a link is not written to, though root could.
        target = WORLD / "roots"
        target.write_text("kept")
        target.chmod(0o644)
        (home / ".aws" / "config").unlink()
        (home / ".aws" / "config").symlink_to(target)
        run = env(server, check=False, **sudo)
        assert run.returncode == 1, run.stdout
        assert target.read_text() == "kept"


def test_completions_man_page_and_unit_are_printed():
    def printed(*words):
        return subprocess.run([BINARY, *words], capture_output=True, text=True, timeout=60, check=True).stdout

    assert "_gantry()" in printed("completions", "bash")
    assert printed("man").startswith(".ie")
    unit = printed("server", "--install", "--print", "--listen", "127.0.0.1:5000")
    assert "ExecStart=/usr/local/bin/gantry server --listen 127.0.0.1:5000\n" in unit
    refused = subprocess.run([BINARY, "server", "--install", "--print", "--state-dir", "x"], capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1 and "whole path" in refused.stderr


@contextlib.contextmanager
def a_machine_of_systemd():
    """As far as `--install` looks: its directories, empty, and a systemctl that notes what it is asked."""
    asked = WORLD / "systemctl.log"
    with contextlib.ExitStack() as stack:
        for path in ("/run", "/etc/systemd/system", "/usr/local/bin"):
            if not os.path.isdir(path):
                os.makedirs(path)
                stack.callback(os.removedirs, path)
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", path], check=True)
            stack.callback(subprocess.run, ["umount", path], check=False)
        os.makedirs("/run/systemd/system")
        fake = WORLD / "bin"
        fake.mkdir()
        (fake / "systemctl").write_text(f'#!/bin/sh\necho "$*" >> {asked}\n[ "$1" != is-active ] || [ -e {WORLD}/active ]\n')
        (fake / "systemctl").chmod(0o755)
        yield {"PATH": f"{fake}:/usr/bin:/bin", "HOME": "/root"}, asked


def test_it_is_installed_and_removed_as_a_service():
    unit, program = pathlib.Path("/etc/systemd/system/gantry.service"), pathlib.Path("/usr/local/bin/gantry")
    with a_machine_of_systemd() as (variables, asked):

        def gantry(*words):
            run = subprocess.run([BINARY, "server", *words], env=variables, capture_output=True, text=True, timeout=60)
            calls = asked.read_text().splitlines() if asked.exists() else []
            asked.unlink(missing_ok=True)
            return run, calls

        run, calls = gantry("--install", "--region", "eu-central-1")
        assert run.returncode == 0, run.stderr
        assert calls == ["daemon-reload", "is-active --quiet gantry.service", "enable --now gantry.service"]
        assert "ExecStart=/usr/local/bin/gantry server --region eu-central-1\n" in unit.read_text()
        assert program.stat().st_mode & 0o777 == 0o755 and program.stat().st_size == os.stat(BINARY).st_size
        (WORLD / "active").touch()
        run, calls = gantry("--install")
        assert calls[-1] == "reload gantry.service", "a running service hands over"
        assert "ExecStart=/usr/local/bin/gantry server\n" in unit.read_text()
        run, calls = gantry("--uninstall")
        assert run.returncode == 0 and calls == ["disable --now gantry.service", "daemon-reload"]
        assert not unit.exists() and program.exists()
        run, calls = gantry("--uninstall")
        assert run.returncode == 0 and calls == [] and "nothing is installed" in run.stdout
        os.rmdir("/run/systemd/system")
        run, calls = gantry("--install")
        assert run.returncode == 1 and "not run by systemd" in run.stderr and "--print" in run.stderr
        assert not unit.exists()


def test_a_service_manager_tells_a_hand_over_from_a_stop(server, monkeypatch):
    """systemd starts the next server after the first (RestartForceExitStatus), and none after the second."""
    monkeypatch.setenv("INVOCATION_ID", "0123")
    server.stop()
    server.start()
    balancer = server.pids("lb")
    server.process.send_signal(signal.SIGUSR2)
    assert server.process.wait(timeout=30) == 75
    assert server.pids("lb") == balancer, "the load balancer goes on"
    server.start()
    server.stop()
    assert server.process.returncode == 0
    monkeypatch.delenv("INVOCATION_ID")
    server.start()
    server.process.send_signal(signal.SIGUSR2)
    assert server.process.wait(timeout=30) == 0
    server.start()
