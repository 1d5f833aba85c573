"""A server with one service behind a load balancer, made with the end-to-end tests' harness."""

import contextlib
import os
import pathlib
import signal
import time

from conftest import APP_IMAGE, BINARY, LoadBalanced, Server, awsvpc, register, wait_for
from test_service import container_pid

__all__ = ["BINARY", "Service", "installation", "kill_and_wait", "open_network"]

CLUSTER = "bench"


@contextlib.contextmanager
def installation(name="gantry"):
    """A server that is up, with the test program's image; everything is removed at the end."""
    server = Server(name)
    try:
        server.start()
        server.image(APP_IMAGE, "app:latest")
        yield server
    finally:
        server.remove()


def open_network(server):
    """The default VPC and a security group that lets everything in."""
    ec2 = server.client("ec2")
    vpc = ec2.describe_vpcs(Filters=[{"Name": "isDefault", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    subnets = [each["SubnetId"] for each in ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]]
    group = ec2.create_security_group(GroupName="open", Description="everything in", VpcId=vpc)["GroupId"]
    ec2.authorize_security_group_ingress(
        GroupId=group, IpPermissions=[{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    )
    return {"vpc": vpc, "subnets": subnets, "group": group}


class Service:
    """One service of the test program behind a load balancer of its own."""

    def __init__(self, server, network, name, count=1, commands=("serve", "8000")):
        self.name, self.count, self.commands = name, count, commands
        self.ecs = server.client("ecs")
        self.ecs.create_cluster(clusterName=CLUSTER)
        self.balancer = LoadBalanced(server, network, name)
        self.ecs.create_service(
            cluster=CLUSTER,
            serviceName=name,
            taskDefinition=register(self.ecs, name, *commands),
            desiredCount=count,
            launchType="FARGATE",
            networkConfiguration=awsvpc(network),
            loadBalancers=[{"targetGroupArn": self.balancer.group, "containerName": "app", "containerPort": 8000}],
        )
        self.wait_until_serving()

    def running(self):
        """The tasks that are RUNNING; None while control does not answer."""
        try:
            arns = self.ecs.list_tasks(cluster=CLUSTER, serviceName=self.name)["taskArns"]
            shown = self.ecs.describe_tasks(cluster=CLUSTER, tasks=arns)["tasks"] if arns else []
        except Exception:
            return None
        return [task["taskArn"] for task in shown if task["lastStatus"] == "RUNNING"]

    def wait_until_serving(self, without=()):
        """Until as many tasks as desired run and are healthy targets, and none of those in `without`; gives them."""

        def serving():
            tasks = self.running()
            if tasks is None or len(tasks) != self.count or set(tasks) & set(without):
                return None
            return tasks if self.healthy() == self.count else None

        return wait_for(serving, f"{self.count} task(s) of {self.name} serve")

    def healthy(self):
        try:
            return self.balancer.states().count("healthy")
        except Exception:
            return None

    def stop(self, task):
        self.ecs.stop_task(cluster=CLUSTER, task=task)

    def deploy(self, version):
        definition = register(self.ecs, self.name, *self.commands, environment=[{"name": "VERSION", "value": str(version)}])
        self.ecs.update_service(cluster=CLUSTER, service=self.name, taskDefinition=definition)

    def remove(self):
        self.ecs.delete_service(cluster=CLUSTER, service=self.name, force=True)
        wait_for(lambda: self.running() == [], f"the tasks of {self.name} are gone")


def kill_and_wait(pids):
    """kill -9; gives the time before it and the time at which the last of them was gone."""
    before = time.monotonic()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    while time.monotonic() < before + 5:
        if not any(alive(pid) for pid in pids):
            return before, time.monotonic()
        time.sleep(0.0002)
    raise TimeoutError(f"the processes {pids} outlived SIGKILL by 5 s")


def alive(pid):
    """Whether a thread of the process still runs: the first may be a zombie while another still holds the sockets."""
    try:
        stats = [task.joinpath("stat").read_text() for task in pathlib.Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        # A thread that ended while we looked: look again, unless the whole process is gone.
        return pathlib.Path(f"/proc/{pid}").exists()
    return any(stat.rsplit(")", 1)[1].split()[0] not in "ZX" for stat in stats)


def pid_of(task):
    return container_pid(task)
