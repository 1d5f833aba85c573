"""`gantry up` and `gantry down`, as a person with a template uses them: no server runs before, nothing is left behind."""

import json
import os
import pathlib
import re
import subprocess
import urllib.request

import boto3
import pytest
from conftest import APP_IMAGE, BINARY, ENDPOINT, REGION, WORLD, Load

LAB = pathlib.Path(__file__).resolve().parents[2] / "examples" / "resilience-lab" / "template.yaml"
UP_SECONDS_MAX = 120


class Person:
    """Somebody with a folder and a state directory of their own."""

    def __init__(self, name):
        self.folder, self.state = WORLD / name, WORLD / f"{name}-state"
        self.folder.mkdir()

    def write(self, text, name="template.yaml"):
        path = self.folder / name
        path.write_text(text)
        return path

    def run(self, *words, code=0):
        """Gives what the command wrote."""
        command = [BINARY, *map(str, words), "--state-dir", self.state]
        run = subprocess.run(command, capture_output=True, text=True, timeout=UP_SECONDS_MAX, cwd=self.folder)
        assert run.returncode == code, f"{command} ended with {run.returncode}:\n{run.stdout}\n{run.stderr}"
        return run.stdout + run.stderr

    def client(self, service):
        keys = json.loads((self.state / "credentials.json").read_text())
        return boto3.client(
            service,
            endpoint_url=ENDPOINT,
            region_name=REGION,
            aws_access_key_id=keys["access_key_id"],
            aws_secret_access_key=keys["secret_access_key"],
        )

    def clear(self):
        config = self.state / "run" / "server.json"
        if config.exists():
            # The runner looks for what this installation has left.
            (self.state / "instance").write_text(json.loads(config.read_text())["instance"])
        for words in (["down", "--server-only"], ["clean"]):
            subprocess.run([BINARY, *words, "--state-dir", self.state], capture_output=True, timeout=UP_SECONDS_MAX)


@pytest.fixture
def person(request):
    made = Person(re.sub(r"\W", "-", request.node.name)[:40])
    try:
        yield made
    finally:
        made.clear()


def lab(**changes):
    """The lab's template with the tests' program in it."""
    text = LAB.read_text()
    command = json.dumps(changes.get("command", ["serve", "8000"]))
    for before, after in (
        ("        Context: image\n        Prepare: ./build\n", f"        Context: {APP_IMAGE}\n"),
        ("          Essential: true\n", f"          Essential: true\n          Command: {command}\n{changes.get('container', '')}"),
    ):
        assert before in text, before
        text = text.replace(before, after)
    return text


def url_in(said):
    found = re.search(r"^url +(\S+)", said, re.M)
    assert found, said
    return found[1]


def processes(state):
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if str(state).encode() in words:
            found.append(words.replace(b"\0", b" ").decode(errors="replace"))
    return found


def test_the_whole_life_of_a_template(person):
    person.write(lab())
    said = person.run("up", "--stack-name", "lab")
    for part in ("server    started", "built in", " to add, 0 to change", "+ Service", "CREATE_COMPLETE", "200 OK from", "outputs", "gantry env"):
        assert part in said, f"{part} is missing in:\n{said}"
    url = url_in(said)
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.status == 200

    said = person.run("up", "--stack-name", "lab")
    for part in ("server    runs", "is up to date", "is as the template says", "200 OK from"):
        assert part in said, f"{part} is missing in:\n{said}"

    said = person.run("up", "--stack-name", "lab", "--parameter", "DesiredCount=2", "--plan")
    assert "0 to add, 1 to change, 0 to remove" in said and "DesiredCount" in said and "UPDATE" not in said, said
    ecs = person.client("ecs")
    (service,) = ecs.list_services(cluster="resilience-lab")["serviceArns"]
    count = lambda: ecs.describe_services(cluster="resilience-lab", services=[service])["services"][0]["desiredCount"]
    assert count() == 1

    name = url.removeprefix("http://").rstrip("/")
    with Load(name) as load:
        said = person.run("up", "--stack-name", "lab", "--parameter", "DesiredCount=2", "--parameter", "Greeting=new")
        load.wait_for_requests(50)
    assert "UPDATE_COMPLETE" in said and "(replaced)" in said, said
    assert load.failures == []
    assert count() == 2
    # What was given once holds until something else is given.
    assert "is as the template says" in person.run("up", "--stack-name", "lab")

    said = person.run("down")
    assert "delete Service" in said and "stopped" in said, said
    assert processes(person.state) == []
    assert not list((person.state / "run" / "netns").glob("*"))
    assert name not in pathlib.Path("/etc/hosts").read_text()
    assert json.loads((person.state / "up.json").read_text())["stacks"] == {}


def test_what_cannot_run_is_told_with_its_last_words(person):
    logged = """          LogConfiguration:
            LogDriver: awslogs
            Options:
              awslogs-group: !Ref Logs
              awslogs-region: !Ref AWS::Region
              awslogs-stream-prefix: app
"""
    text = lab(command=["print", "the database is on fire"], container=logged)
    person.write(text.replace("Resources:\n", "Resources:\n  Logs:\n    Type: AWS::Logs::LogGroup\n"))
    said = person.run("up", code=1)
    for part in ("keep failing", "the database is on fire", "gantry:", "next:"):
        assert part in said, f"{part} is missing in:\n{said}"
    # The same again, corrected: what was left of the first attempt is no obstacle.
    person.write(lab())
    assert "CREATE_COMPLETE" in person.run("up")
    assert "delete Service" in person.run("down", person.folder)
    assert processes(person.state) == [], "the server that `up` had started ends with its last stack"


def test_a_failed_update_leaves_what_ran(person):
    person.write(lab())
    name = url_in(person.run("up", "--stack-name", "lab")).removeprefix("http://").rstrip("/")
    person.write(lab(command=["exit", "3"]))
    with Load(name) as load:
        said = person.run("up", "--stack-name", "lab", code=1)
        load.wait_for_requests(50)
    assert load.failures == [] and "UPDATE_ROLLBACK_COMPLETE" in said and "what ran before runs on" in said, said


def test_mistakes_are_told_before_anything_is_made(person):
    person.write("Resources: {A: {Type: 'AWS::EC2::Spaceship'}}")
    said = person.run("up", "--stack-name", "lab", code=1)
    assert "AWS::EC2::Spaceship" in said, said
    person.write("Resources: {A: {Type: 'AWS::ECS::Cluster', DependsOn: B}, B: {Type: 'AWS::ECS::Cluster', DependsOn: A}}")
    assert "Circular dependency between resources" in person.run("up", "--stack-name", "lab", code=1)
    person.write("Parameters: {P: {Type: String}}\nResources: {A: {Type: 'AWS::ECS::Cluster'}}")
    assert "Parameters: [P] must have values" in person.run("up", "--stack-name", "lab", code=1)
    assert person.client("ecs").list_clusters()["clusterArns"] == []
    for stack in person.client("cloudformation").list_stacks()["StackSummaries"]:
        assert stack["StackStatus"] in ("REVIEW_IN_PROGRESS", "DELETE_COMPLETE"), stack
    assert "did not bring it up" in person.run("down", "other", code=1)
    assert "holds neither" in person.run("up", os.path.dirname(__file__), code=1)
    person.run("down")
