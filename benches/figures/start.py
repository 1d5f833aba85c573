"""How long RunTask takes to a RUNNING task: an image that is there, a network interface of its own, cgroups, a shim.

The server's own times count, createdAt to startedAt; what a client sees by asking DescribeTasks without a pause stands beside it.
"""

import concurrent.futures
import time

from conftest import awsvpc, register, wait_for
from figure import Figure

from figures.system import BINARY, CLUSTER, installation, open_network

AT_ONCE = 50
# RunTask starts at most ten.
PER_CALL = 10


def measure(times):
    figure, starts, seen = Figure("start", BINARY), [], []
    with installation() as server:
        ecs, network = server.client("ecs"), open_network(server)
        ecs.create_cluster(clusterName=CLUSTER)
        definition = register(ecs, "start")

        def run(count=1):
            answer = ecs.run_task(
                cluster=CLUSTER, taskDefinition=definition, count=count, launchType="FARGATE", networkConfiguration=awsvpc(network)
            )
            assert not answer["failures"], answer["failures"]
            return [task["taskArn"] for task in answer["tasks"]]

        for _ in range(times):
            begun = time.monotonic()
            (task,) = wait_for_running(ecs, run())
            seen.append(time.monotonic() - begun)
            starts.append((task["startedAt"] - task["createdAt"]).total_seconds())
            stop(ecs, [task["taskArn"]])
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE // PER_CALL) as pool:
            arns = [arn for some in pool.map(lambda _: run(PER_CALL), range(AT_ONCE // PER_CALL)) for arn in some]
        tasks = wait_for_running(ecs, arns)
        slowest = max(task["startedAt"] for task in tasks) - min(task["createdAt"] for task in tasks)
        stop(ecs, arns)
    figure.times("RunTask: createdAt to startedAt", starts, {"p50": 25})
    figure.times("RunTask: from the call to RUNNING in DescribeTasks", seen)
    label = f"{AT_ONCE} at once: first createdAt to last startedAt"
    figure.row(label, round(slowest.total_seconds() * 1000, 2), "ms", at_most=600)
    return figure.finish(milliseconds=[round(start * 1000, 3) for start in starts])


def wait_for_running(ecs, arns):
    def running():
        tasks = ecs.describe_tasks(cluster=CLUSTER, tasks=arns)["tasks"]
        gone = [task.get("stoppedReason") for task in tasks if task["lastStatus"] == "STOPPED"]
        assert not gone, gone
        return tasks if len(tasks) == len(arns) and all(task["lastStatus"] == "RUNNING" for task in tasks) else None

    return wait_for(running, f"{len(arns)} task(s) are RUNNING")


def stop(ecs, arns):
    for arn in arns:
        ecs.stop_task(cluster=CLUSTER, task=arn)
    stopped = lambda: all(task["lastStatus"] == "STOPPED" for task in ecs.describe_tasks(cluster=CLUSTER, tasks=arns)["tasks"])
    wait_for(stopped, f"{len(arns)} task(s) are STOPPED")
