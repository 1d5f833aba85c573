"""How long a service of one task does not serve when its container is killed: from SIGKILL to the first answer of the next task.

Three clients ask the load balancer without end, one new connection for each request and 2 ms between two. The span begins at
the kill and not at any request, so a request that waits hides nothing; answers of different tasks are told apart by the host
name that each gives. The application begins to listen 5 ms after its start.
"""

import socket
import threading
import time

from conftest import wait_for
from figure import Figure

from figures.system import BINARY, Service, installation, kill_and_wait, open_network, pid_of

CLIENTS = 3
PAUSE_SECONDS = 0.002
TIMEOUT_SECONDS = 30


class Askers:
    """Clients that ask for the name of the task that answers, and the last new name with its time."""

    def __init__(self, host):
        self.address = socket.getaddrinfo(host, 80, type=socket.SOCK_STREAM)[0][4]
        self.request = f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
        self.first_answers, self.requests, self.failures = {}, 0, []
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(CLIENTS)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        wait_for(lambda: self.first_answers, "the service answers")
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=TIMEOUT_SECONDS)

    def names(self):
        return list(self.first_answers)

    def _ask(self):
        while not self._stop.wait(PAUSE_SECONDS):
            name, error = self._answer()
            now = time.monotonic()
            with self._lock:
                self.requests += 1
                if error:
                    self.failures.append(error)
                else:
                    self.first_answers.setdefault(name, now)

    def _answer(self):
        """The name of the task that answered with 200, and what went wrong."""
        try:
            with socket.create_connection(self.address, timeout=TIMEOUT_SECONDS) as connection:
                connection.sendall(self.request)
                answer = b""
                while part := connection.recv(4096):
                    answer += part
        except OSError as error:
            return None, repr(error)
        head, _, body = answer.partition(b"\r\n\r\n")
        if head.startswith(b"HTTP/1.1 200 ") and body.startswith(b"hello from "):
            return body.decode().strip(), None
        return None, answer[:40].split(b"\r\n")[0].decode(errors="replace") or "no answer"


def measure(times):
    figure, spans = Figure("replace", BINARY), []
    with installation() as server:
        service = Service(server, open_network(server), "replace", commands=("serve", "8000", "after", "5"))
        with Askers(service.balancer.name) as askers:
            for number in range(times):
                task = service.wait_until_serving()[0]
                known = set(askers.names())
                before, _ = kill_and_wait([pid_of(task)])
                name = wait_for(lambda: next(iter(set(askers.names()) - known), None), "a task with a new name answers")
                spans.append(askers.first_answers[name] - before)
                service.wait_until_serving(without=[task])
                if (number + 1) % 20 == 0:
                    print(f"    {number + 1} of {times} kills", flush=True)
    figure.times("from the kill to the replacement's first answer", spans, {"p99": 500})
    figure.row("the slowest", round(max(spans) * 1000, 2), "ms")
    figure.row("requests", askers.requests)
    figure.row("requests that failed", len(askers.failures), note=", ".join(sorted(set(askers.failures))[:3]))
    return figure.finish(milliseconds=[round(span * 1000, 3) for span in spans])
