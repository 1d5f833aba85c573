"""`gantry up` of a folder of Terraform files, with the user's own `terraform` and a real AWS provider.

The provider takes minutes to build, so `benches/terraform` runs this with one; without it, the tests are listed as not run.
"""

import os
import shutil
import signal
import subprocess
import urllib.request

import pytest

from conftest import BINARY, WORLD, wait_for
from somebody import USER, somebody

pytestmark = pytest.mark.skipif(
    # Set by the bench, which has made a provider; a variable of terraform's own may be there for other reasons.
    not (os.environ.get("GANTRY_TEST_TERRAFORM") and shutil.which("terraform")),
    reason="needs terraform and an AWS provider: run benches/terraform",
)

MAIN = """
terraform {
  required_providers { aws = { source = "hashicorp/aws" } }
  backend "s3" { # of the real account: not asked, not touched
    bucket = "production-state"
    key    = "infra"
    region = "us-east-1"
  }
}
variable "image" {}
variable "owner" { default = "us" }
provider "aws" {
  region  = "us-east-1"
  profile = "production" # does not exist here
}
provider "aws" {
  alias   = "west"
  region  = "us-west-2"
  profile = "production"
}
resource "aws_ecs_cluster" "west" {
  provider = aws.west
  name     = "west"
  tags     = { Owner = var.owner }
}
resource "aws_vpc" "main" {
  cidr_block           = "10.20.0.0/16"
  enable_dns_hostnames = true
}
resource "aws_subnet" "main" {
  count             = 2
  vpc_id            = aws_vpc.main.id
  cidr_block        = cidrsubnet(aws_vpc.main.cidr_block, 8, count.index)
  availability_zone = "us-east-1${["a", "b"][count.index]}"
}
resource "aws_internet_gateway" "main" { vpc_id = aws_vpc.main.id }
module "web" {
  source     = "../modules/web"
  image      = var.image
  vpc        = aws_vpc.main.id
  subnets    = aws_subnet.main[*].id
  depends_on = [aws_internet_gateway.main]
}
output "url" { value = "http://${module.web.name}" }
output "text" { value = file("${path.module}/../texts/hello.txt") }
output "secret" {
  value     = "not for every eye"
  sensitive = true
}
"""

WEB = """
variable "image" {}
variable "vpc" {}
variable "subnets" {}
resource "aws_security_group" "all" {
  name   = "all"
  vpc_id = var.vpc
  ingress {
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
  egress {
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
}
resource "aws_lb" "main" {
  name            = "web"
  subnets         = var.subnets
  security_groups = [aws_security_group.all.id]
}
resource "aws_lb_target_group" "main" {
  name        = "web"
  port        = 80
  protocol    = "HTTP"
  target_type = "ip"
  vpc_id      = var.vpc
}
resource "aws_lb_listener" "main" {
  load_balancer_arn = aws_lb.main.arn
  port              = 80
  protocol          = "HTTP"
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.main.arn
  }
}
resource "aws_iam_role" "execution" {
  name               = "execution"
  assume_role_policy = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "ecs-tasks.amazonaws.com" } }] })
}
resource "aws_ecs_cluster" "main" { name = "web" }
resource "aws_ecs_task_definition" "main" {
  family                   = "web"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = "256"
  memory                   = "512"
  execution_role_arn       = aws_iam_role.execution.arn
  container_definitions    = jsonencode([{ name = "web", image = var.image, command = ["serve", "8000"], portMappings = [{ containerPort = 8000 }] }])
}
resource "aws_ecs_service" "main" {
  name            = "web"
  cluster         = aws_ecs_cluster.main.id
  task_definition = aws_ecs_task_definition.main.arn
  launch_type     = "FARGATE"
  desired_count   = 1
  network_configuration {
    subnets          = var.subnets
    security_groups  = [aws_security_group.all.id]
    assign_public_ip = true
  }
  load_balancer {
    target_group_arn = aws_lb_target_group.main.arn
    container_name   = "web"
    container_port   = 8000
  }
  depends_on = [aws_lb_listener.main]
}
output "name" { value = aws_lb.main.dns_name }
"""


@pytest.fixture
def project():
    folder = WORLD / "project"
    for path, text in {
        "infra/main.tf": MAIN,
        "infra/terraform.tfstate": "the state of the real account",
        "modules/web/main.tf": WEB,
        "texts/hello.txt": "hello",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    yield folder
    shutil.rmtree(folder)


def listing(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def environment():
    home = WORLD / "home"
    home.mkdir(exist_ok=True)
    keep = {name: os.environ[name] for name in ("PATH", "TF_CLI_CONFIG_FILE")}
    return keep | {"HOME": str(home), "AWS_PROFILE": "production", "LANG": "C.UTF-8"}


def gantry(server, *words, **options):
    return server.run(*words, "--state-dir", server.state, env=environment(), **options)


def test_a_folder_comes_up_is_changed_and_goes(server, project):
    infra = project / "infra"
    before = listing(project)
    missing = gantry(server, "up", infra, check=False)
    assert missing.returncode == 1, missing.stderr
    assert "No value for required variable" in missing.stderr and "--parameter NAME=VALUE" in missing.stderr

    shown = gantry(server, "up", infra, "--parameter", "image=app:latest", "--plan").stderr
    print(shown)
    assert "13 to add, 0 to change, 0 to remove" in shown
    assert server.aws("ecs", "list-clusters")["clusterArns"] == []

    up = gantry(server, "up", infra, "--parameter", "image=app:latest").stderr
    print(up)
    assert "ok create module.web.aws_ecs_service.main" in up
    assert "text    hello" in up and "secret  (sensitive)" in up and "not for every eye" not in up
    url = next(line.split()[-1] for line in up.splitlines() if line.split()[:1] == ["url"])

    def answers():
        try:
            return urllib.request.urlopen(url, timeout=5).status == 200
        except OSError:
            return False

    wait_for(answers, f"{url} answers")
    west = server.aws("ecs", "list-clusters", "--region", "us-west-2")["clusterArns"]
    assert len(west) == 1 and west[0].endswith("/west")

    again = gantry(server, "up", infra, "--parameter", "image=app:latest").stderr
    print(again)
    assert "everything is as the files say" in again
    changed = gantry(server, "up", infra, "--parameter", "image=app:latest", "--parameter", "owner=them").stderr
    print(changed)
    assert "0 to add, 1 to change, 0 to remove" in changed

    down = gantry(server, "down", infra).stderr
    print(down)
    assert server.aws("ecs", "list-clusters")["clusterArns"] == []
    assert server.aws("elbv2", "describe-load-balancers")["LoadBalancers"] == []
    assert len(server.aws("ec2", "describe-vpcs")["Vpcs"]) == 1
    assert listing(project) == before
    kept = WORLD / "home" / ".local" / "state" / "gantry" / "terraform"
    assert list(kept.iterdir()) == []


def test_a_mistake_is_told_in_a_sentence_with_its_place(server, project):
    (project / "infra" / "wrong.tf").write_text('resource "aws_ecs_cluster" "x" {\n  nam = "x"\n}\n')
    run = gantry(server, "up", project / "infra", "--parameter", "image=app:latest", check=False)
    print(run.stderr)
    assert run.returncode == 1
    assert "wrong.tf:" in run.stderr and "nam" in run.stderr
    gantry(server, "down", project / "infra")


SMALL = """
terraform {
  required_providers { aws = { source = "hashicorp/aws" } }
}
provider "aws" { region = "us-east-1" }
resource "aws_ecs_cluster" "main" { name = "small" }
resource "terraform_data" "after" {
  depends_on = [aws_ecs_cluster.main]
  provisioner "local-exec" { command = "COMMAND" }
}
"""


@pytest.fixture
def small():
    folder = WORLD / "small"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


def test_what_failed_half_way_goes_on_and_goes(server, small):
    (small / "main.tf").write_text(SMALL.replace("COMMAND", "echo some words; exit 3"))
    run = gantry(server, "up", small, check=False)
    print(run.stderr)
    assert run.returncode == 1
    assert "ok create aws_ecs_cluster.main" in run.stderr and "some words" in run.stderr
    assert "exit status 3" in run.stderr and "goes on from here" in run.stderr
    (small / "main.tf").write_text(SMALL.replace("COMMAND", "true"))
    again = gantry(server, "up", small).stderr
    print(again)
    assert "1 to add, 0 to change, 1 to remove" in again and "terraform_data.after  replaced" in again
    gantry(server, "down", small)
    assert server.aws("ecs", "list-clusters")["clusterArns"] == []


def test_an_interrupt_lets_terraform_end_in_order(server, small):
    begun = small / "begun"
    (small / "main.tf").write_text(SMALL.replace("COMMAND", f"touch {begun}; exec sleep 300"))
    process = subprocess.Popen([BINARY, "up", small, "--state-dir", server.state], env=environment(), stderr=subprocess.PIPE, text=True)
    try:
        wait_for(begun.exists, "the provisioner runs")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    print(said)
    assert process.returncode == 1 and "interrupted" in said
    gantry(server, "down", small)
    assert server.aws("ecs", "list-clusters")["clusterArns"] == []


def test_with_sudo_it_runs_as_who_called(server, small):
    (small / "main.tf").write_text(SMALL.replace("COMMAND", "id -u"))
    with somebody() as (home, sudo):
        told = server.run("up", small, "--state-dir", server.state, env=environment() | sudo).stderr
        print(told)
        assert f": {USER}" in told
        kept = home / ".local" / "state" / "gantry" / "terraform"
        assert kept.stat().st_uid == USER and [path.stat().st_uid for path in kept.iterdir()] == [USER]
        server.run("down", small, "--state-dir", server.state, env=environment() | sudo)
        assert list(kept.iterdir()) == []
