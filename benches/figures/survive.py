"""Ten virtual users keep asking while something is stopped or killed, again and again: which requests fail?

The users ask for an answer that takes 20 ms, on kept connections and without a pause, so that at every moment about ten requests
are in flight in the containers. Each failure is kept with the time at which its request began and ended. One that was in flight
when a container (or the load balancer) was killed is lost with it, as anywhere; it is counted apart. Every other one counts.
The load balancer sends a lost GET to another task, since nobody can tell the difference, but no POST: one row shows that.
"""

import http.client
import multiprocessing
import time

from conftest import Load, wait_for
from figure import Figure

from figures.system import BINARY, Service, installation, kill_and_wait, open_network, pid_of

USERS = 10
PATH = "/slow?ms=20"
# Between two rounds so many requests are answered: a round begins under full load.
REQUESTS_BETWEEN = 50
# How a request ends that was in flight: no answer came from the container, or a part; a connection ended.
WITH_A_CONTAINER = ("status 502", "IncompleteRead")
WITH_THE_LOAD_BALANCER = ("RemoteDisconnected", "ConnectionResetError", "BrokenPipeError", "IncompleteRead")
REQUEST_SECONDS_MAX = 60
END_SECONDS_MAX = 90


class Users:
    """The harness's virtual users in a process of their own, so that nothing here slows them down."""

    def __init__(self, name, method):
        self.failed, self.requests, self.slowest = [], 0, 0.0
        self._answered = multiprocessing.Value("q", 0)
        self._stop = multiprocessing.Event()
        self._told, tell = multiprocessing.Pipe(duplex=False)
        self._process = multiprocessing.Process(target=ask, args=(name, method, self._answered, self._stop, tell), daemon=True)

    def __enter__(self):
        self._process.start()
        self.wait_for_requests(REQUESTS_BETWEEN)
        return self

    def __exit__(self, *_):
        self._stop.set()
        if self._told.poll(END_SECONDS_MAX):
            self.requests, self.slowest, self.failed = self._told.recv()
            self._process.join(END_SECONDS_MAX)
        else:
            self._process.kill()
            raise TimeoutError(f"the users did not end within {END_SECONDS_MAX} s")

    def wait_for_requests(self, count):
        """Until so many more requests ended."""
        goal = self._answered.value + count
        wait_for(lambda: self._answered.value >= goal, f"{count} more requests end")


class Asking(Load):
    """Ten of the harness's users, with the beginning and the end of each failed request."""

    def __init__(self, name, method, answered):
        super().__init__(name, users=USERS, path=PATH)
        self.failed, self.method, self.answered = [], method, answered

    def _user(self):
        connection = None
        while not self._stop.is_set():
            begun = time.monotonic()
            connection, error = self._ask(connection) if self.method == "GET" else (None, self._post())
            ended = time.monotonic()
            with self._lock:
                self.requests += 1
                self.answered.value = self.requests
                self.slowest = max(self.slowest, ended - begun)
                if error:
                    self.failed.append((begun, ended, error))

    def _post(self):
        """One request that nobody may send twice, on a connection of its own; gives what went wrong."""
        connection = http.client.HTTPConnection(self.name, 80, timeout=REQUEST_SECONDS_MAX)
        try:
            connection.request("POST", self.path, body=b"once")
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException) as failure:
            return repr(failure)
        finally:
            connection.close()
        return None if answer.status < 400 else f"status {answer.status}"


def ask(name, method, answered, stop, tell):
    """What the users' process does, until it is told to stop."""
    with Asking(name, method, answered) as users:
        stop.wait()
    tell.send((users.requests, users.slowest, users.failed))


def measure(times):
    figure = Figure("survive", BINARY)
    few, fewer = max(1, times // 5), max(1, times // 10)
    with installation() as server:
        network = open_network(server)
        one = Service(server, network, "one")
        Row("the only task is stopped", one, lambda _: stop(one)).repeat(times).show(figure)
        Row("the only container is killed", one, lambda _: kill(one), WITH_A_CONTAINER).repeat(times).show(figure)
        what = "the only container is killed while users POST"
        Row(what, one, lambda _: kill(one), WITH_A_CONTAINER, "POST").repeat(few).show(figure)
        Row("rolling update of one task", one, lambda number: deploy(one, number)).repeat(few).show(figure)
        # By turns: the supervisor waits before it starts again what has just died, as it must, and longer each time.
        parts = [
            Row("control is killed", one, lambda _: kill_role(server, one, "control")),
            Row("node is killed", one, lambda _: kill_role(server, one, "node")),
            Row("lb is killed", one, lambda _: kill_role(server, one, "lb"), WITH_THE_LOAD_BALANCER),
            Row("control and the only container are killed", one, lambda _: kill_both(server, one), WITH_A_CONTAINER),
        ]
        for _ in range(few):
            for part in parts:
                part.repeat(1)
        for part in parts:
            part.show(figure)
        Row("the supervisor is killed and started", one, lambda _: start_again(server, one)).repeat(fewer).show(figure)
        one.remove()
        two = Service(server, network, "two", count=2)
        Row("one of two tasks is stopped", two, lambda _: stop(two)).repeat(times).show(figure)
        Row("one of two containers is killed", two, lambda _: kill(two), WITH_A_CONTAINER).repeat(times).show(figure)
        two.remove()
        three = Service(server, network, "three", count=3)
        Row("rolling update of three tasks", three, lambda number: deploy(three, number)).repeat(few).show(figure)
    return figure.finish()


class Row:
    """Repeats `act` under load; `act` gives the time span of its kill, or None.

    Requests in flight in that span may fail with one of the errors in `lost_with`."""

    def __init__(self, what, service, act, lost_with=(), method="GET"):
        self.what, self.service, self.act, self.lost_with, self.method = what, service, act, lost_with, method
        self.times, self.requests, self.slowest, self.seconds = 0, 0, 0.0, 0.0
        self.slowest_end, self.lost, self.failed = 0.0, [], []

    def repeat(self, times):
        begun, spans = time.monotonic(), []
        with Users(self.service.balancer.name, self.method) as users:
            for _ in range(times):
                spans.append(self.act(self.times))
                self.times += 1
                users.wait_for_requests(REQUESTS_BETWEEN)
                if self.times % 20 == 0:
                    print(f"    {self.what}: {self.times} times", flush=True)
        for failure in users.failed:
            if was_lost(failure, spans, self.lost_with):
                self.lost.append(failure)
            else:
                self.failed.append(described(failure, spans))
        self.slowest_end = max(self.slowest_end, *(gone - before for before, gone in filter(None, spans)), 0.0)
        self.requests += users.requests
        self.slowest = max(self.slowest, users.slowest)
        self.seconds += time.monotonic() - begun
        return self

    def show(self, figure):
        print(f"    {self.what}: {len(self.failed)} of {self.requests} requests failed", flush=True)
        note = f"of {self.requests}; the slowest took {self.slowest:.2f} s; {self.seconds:.0f} s"
        if self.failed:
            note += f"; the first: {self.failed[0]}"
        figure.row(f"{self.what}, {self.times} times: failed", len(self.failed), at_most=0, note=note)
        if self.lost_with:
            note = f"what was killed was gone after at most {self.slowest_end * 1000:.0f} ms"
            figure.row("    in flight in what was killed: failed", len(self.lost), note=note)


def described(failure, spans):
    """What went wrong, and when: after the last kill before its end."""
    begun, ended, error = failure
    kills = [before for before, _ in filter(None, spans) if before <= ended]
    if not kills:
        return error
    return f"{error}, begun {(begun - kills[-1]) * 1000:+.1f} ms and ended {(ended - kills[-1]) * 1000:+.1f} ms from a kill"


def was_lost(failure, spans, errors):
    begun, ended, error = failure
    return error.startswith(errors) and any(begun <= gone and ended >= before for before, gone in spans)


def stop(service):
    task = service.wait_until_serving()[0]
    service.stop(task)
    service.wait_until_serving(without=[task])


def kill(service):
    task = service.wait_until_serving()[0]
    span = kill_and_wait([pid_of(task)])
    service.wait_until_serving(without=[task])
    return span


def deploy(service, number):
    before = service.wait_until_serving()
    service.deploy(number)
    service.wait_until_serving(without=before)


def kill_role(server, service, role):
    """The role's process dies and comes back, and the same tasks are managed."""
    before, dead = service.wait_until_serving(), server.pids(role)
    span = kill_and_wait(dead)
    wait_for_role(server, role, dead)
    assert service.wait_until_serving() == before, "the same tasks are managed again"
    return span


def kill_both(server, service):
    task = service.wait_until_serving()[0]
    dead = server.pids("control")
    span = kill_and_wait([*dead, pid_of(task)])
    service.wait_until_serving(without=[task])
    return span


def start_again(server, service):
    before = service.wait_until_serving()
    server.kill("server")
    server.start()
    assert service.wait_until_serving() == before, "the same tasks are managed again"


def wait_for_role(server, role, dead):
    wait_for(lambda: set(server.pids(role)) - set(dead), f"{role} is back")
