"""How long `gantry server` takes to its first signed answer, and what its processes keep in memory when nothing happens.

The clock starts before the process does. The client tries every millisecond, with the keys that the server has made by then.
"""

import http.client
import json
import os
import pathlib
import subprocess
import time

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from conftest import ENDPOINT, REGION, Server
from figure import Figure

from figures.system import BINARY, Service, installation, open_network

IDLE_SECONDS = 10
ANSWER_SECONDS_MAX = 30
HEADERS = {
    "Content-Type": "application/x-amz-json-1.1",
    "X-Amz-Target": "AmazonEC2ContainerServiceV20141113.DescribeClusters",
}


def measure(times):
    figure = Figure("boot", BINARY)
    fresh = []
    for number in range(times):
        server = Server(f"fresh{number}")
        try:
            fresh.append(first_answer(server))
        finally:
            server.remove()
    with installation() as server:
        Service(server, open_network(server), "idle")
        time.sleep(IDLE_SECONDS)
        kept = memory(server)
        again = []
        for _ in range(times):
            server.stop()
            again.append(first_answer(server))
    figure.times("first start: exec to the first signed answer", fresh, {"p50": 300})
    figure.times("with a state and a running task: the same", again, {"p50": 300})
    for role, (pss, rss) in kept.items():
        goal = 50 if role == "control" else None
        figure.row(f"memory of {role} (PSS)", megabytes(pss), "MB", at_most=goal, note=f"RSS {megabytes(rss)} MB")
    figure.row("memory of all (PSS)", megabytes(sum(pss for pss, _ in kept.values())), "MB", note="one service, one task")
    return figure.finish()


def first_answer(server):
    """Starts the server and gives the seconds to its first answer with 200."""
    environment = dict(os.environ, GANTRY_LOG="info")
    with open(server.log_path, "ab") as log:
        begun = time.monotonic()
        command = [BINARY, "server", "--state-dir", server.state]
        server.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    while (status := ask(server)) != 200:
        if time.monotonic() > begun + ANSWER_SECONDS_MAX or server.process.poll() is not None:
            raise RuntimeError(f"no answer (the last: {status}):\n{server.log()}")
        time.sleep(0.001)
    seconds = time.monotonic() - begun
    instance = json.loads((server.state / "run" / "server.json").read_text())["instance"]
    (server.state / "instance").write_text(instance)
    return seconds


def ask(server):
    """One signed DescribeClusters: its status, or what stood in the way."""
    try:
        keys = server.credentials()
        request = AWSRequest("POST", f"{ENDPOINT}/", HEADERS, data=b"{}")
        SigV4Auth(Credentials(keys["access_key_id"], keys["secret_access_key"]), "ecs", REGION).add_auth(request)
        connection = http.client.HTTPConnection(ENDPOINT.removeprefix("http://"), timeout=ANSWER_SECONDS_MAX)
        connection.request("POST", "/", body=b"{}", headers=dict(request.headers))
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status
    except (OSError, ValueError, http.client.HTTPException) as error:
        return repr(error)


def memory(server):
    """PSS and RSS in KiB by role, of each role's first process."""
    roles = {"supervisor": "server", "control": "control", "lb": "lb", "node": "node", "one shim": "shim"}
    return {name: rollup(server.pids(role)[0]) for name, role in roles.items()}


def rollup(pid):
    lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    sizes = {words[0]: int(words[1]) for words in map(str.split, lines) if len(words) > 2 and words[2] == "kB"}
    return sizes["Pss:"], sizes["Rss:"]


def megabytes(kib):
    return round(kib * 1024 / 1e6, 1)
