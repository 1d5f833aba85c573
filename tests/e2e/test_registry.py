"""The registry: what other people's tools push and pull, what survives a cut and a crash, what tasks run, and ECR's API."""

import base64
import concurrent.futures
import hashlib
import http.client
import json
import os
import pathlib
import shutil
import subprocess
import threading

import botocore.exceptions
import pytest

from conftest import WORLD, awsvpc, register, wait_for, wait_for_status

ACCOUNT = "123456789012"
ECR = f"{ACCOUNT}.dkr.ecr.us-east-1.localhost:4566"
HOSTS = [ECR, "localhost:4566", "127.0.0.1:4566"]
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
CONFIG = "application/vnd.oci.image.config.v1+json"
MIB = 1 << 20


@pytest.fixture(scope="module")
def ecr(server):
    return server.client("ecr")


@pytest.fixture(scope="module")
def password(server):
    return server.aws("ecr", "get-login-password")


@pytest.fixture(scope="module")
def archive(server):
    path = WORLD / "app.tar"
    server.run("image", "save", "app:latest", "--output", path, "--state-dir", server.state)
    return path


@pytest.fixture(scope="module", autouse=True)
def tools(server):
    missing = [tool for tool in ("skopeo", "buildah") if not shutil.which(tool)]
    assert not missing, f"install {' and '.join(missing)}: apt-get install skopeo buildah"


def tool(*words, check=True):
    """skopeo or buildah, with nothing of this machine's own."""
    environment = dict(os.environ, HOME=str(WORLD), XDG_RUNTIME_DIR=str(WORLD), REGISTRY_AUTH_FILE=str(WORLD / "auth.json"))
    policy = WORLD / "policy.json"
    policy.write_text(json.dumps({"default": [{"type": "insecureAcceptAnything"}]}))
    words = [str(word) for word in words]
    if words[0] == "skopeo":
        words[1:1] = ["--policy", str(policy)]
    run = subprocess.run(words, capture_output=True, text=True, timeout=300, env=environment)
    if check and run.returncode != 0:
        pytest.fail(f"{words} ended with {run.returncode}:\n{run.stdout}\n{run.stderr}")
    return run


class Api:
    """The protocol, request by request."""

    def __init__(self, password, host="localhost:4566"):
        text = base64.b64encode(f"AWS:{password}".encode()).decode()
        self.headers = {"Authorization": f"Basic {text}", "Host": host}

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", 4566, timeout=120)

    def ask(self, method, path, body=None, connection=None, **headers):
        own = connection or self.connect()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        own.request(method, path, body=body, headers={**self.headers, **named})
        answer = own.getresponse()
        content = answer.read()
        if connection is None:
            own.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, content

    def expect(self, status, method, path, body=None, **headers):
        answer = self.ask(method, path, body, **headers)
        assert answer[0] == status, answer
        return answer

    def begin(self, repository):
        return self.expect(202, "POST", f"/v2/{repository}/blobs/uploads/")[1]["location"]

    def blob(self, repository, content):
        digest = digest_of(content)
        self.expect(201, "POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", content)
        return {"digest": digest, "size": len(content)}

    def image(self, repository, tag, layer):
        diff_id = digest_of(layer)
        config = json.dumps({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [diff_id]}})
        config = dict(self.blob(repository, config.encode()), mediaType=CONFIG)
        layers = [dict(self.blob(repository, layer), mediaType=LAYER)]
        manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers})
        self.expect(201, "PUT", f"/v2/{repository}/manifests/{tag}", manifest, Content_Type=MANIFEST)
        return digest_of(manifest.encode())


def digest_of(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def fails(code, call, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        call(**arguments)
    assert raised.value.response["Error"]["Code"] == code, raised.value
    return raised.value.response["Error"]["Message"]


@pytest.mark.parametrize("host", HOSTS)
def test_skopeo_pushes_and_pulls(server, ecr, password, archive, host):
    name = "skopeo/" + host.split(":")[0].replace(".", "-").replace(ACCOUNT, "ecr")
    created = ecr.create_repository(repositoryName=name)["repository"]
    assert created["repositoryUri"] == f"{ECR}/{name}"
    tool("skopeo", "login", "--tls-verify=false", "--username", "AWS", "--password", password, host)
    image = f"docker://{host}/{name}:v1"
    tool("skopeo", "copy", "--dest-tls-verify=false", f"oci-archive:{archive}", image)
    back = WORLD / f"back-{name.replace('/', '-')}"
    tool("skopeo", "copy", "--src-tls-verify=false", image, f"dir:{back}")
    pulled = digest_of((back / "manifest.json").read_bytes())
    [detail] = ecr.describe_images(repositoryName=name)["imageDetails"]
    assert (detail["imageDigest"], detail["imageTags"]) == (pulled, ["v1"])
    assert detail["imageSizeInBytes"] > 0 and detail["imageManifestMediaType"]
    tags = json.loads(tool("skopeo", "list-tags", "--tls-verify=false", f"docker://{host}/{name}").stdout)
    assert tags["Tags"] == ["v1"]
    # Again: nothing is sent twice, and zstd is taken too.
    again = ["--dest-compress-format", "zstd", "--format", "oci"]
    tool("skopeo", "copy", "--dest-tls-verify=false", *again, f"oci-archive:{archive}", f"docker://{host}/{name}:zstd")
    docker = ["--format", "v2s2"]
    tool("skopeo", "copy", "--dest-tls-verify=false", *docker, f"oci-archive:{archive}", f"docker://{host}/{name}:docker")
    tool("skopeo", "delete", "--tls-verify=false", f"docker://{host}/{name}:docker")
    assert "docker" not in [tag for each in ecr.describe_images(repositoryName=name)["imageDetails"] for tag in each.get("imageTags", [])]


def test_nobody_pushes_without_a_token(archive):
    run = tool("skopeo", "copy", "--dest-tls-verify=false", "--dest-creds", "AWS:guess", f"oci-archive:{archive}", f"docker://{ECR}/skopeo/a:1", check=False)
    assert run.returncode != 0 and "unauthorized" in run.stderr.lower() + run.stdout.lower(), run.stderr


def test_buildah_builds_pushes_and_pulls(server, ecr, archive):
    ecr.create_repository(repositoryName="buildah")
    storage = ["--storage-driver", "vfs", "--root", WORLD / "buildah", "--runroot", WORLD / "buildah-run"]
    # As the CLI of version 1 has people do it: it prints the command.
    words = server.aws("ecr", "get-login", "--no-include-email").split()
    assert words[:4] == ["docker", "login", "-u", "AWS"] and words[-1] == f"http://{ECR}", words
    tool("buildah", "login", "--tls-verify=false", *words[2:-1], ECR)
    tool("buildah", *storage, "pull", f"oci-archive:{archive}")
    image = tool("buildah", *storage, "images", "--quiet").stdout.split()[0]
    container = tool("buildah", *storage, "from", image).stdout.strip()
    tool("buildah", *storage, "config", "--label", "made=here", container)
    tool("buildah", *storage, "commit", container, "made")
    tool("buildah", *storage, "push", "--tls-verify=false", "made", f"docker://{ECR}/buildah:v1")
    tool("buildah", *storage, "rmi", "--all", "--force")
    tool("buildah", *storage, "pull", "--tls-verify=false", f"docker://{ECR}/buildah:v1")
    shown = json.loads(tool("buildah", *storage, "inspect", "--type", "image", f"{ECR}/buildah:v1").stdout)
    assert shown["OCIv1"]["config"]["Labels"]["made"] == "here"


def test_a_push_that_is_cut_goes_on_also_after_a_crash(server, password):
    api = Api(password)
    content = os.urandom(8 * MIB)
    location = api.begin("cut")
    offset = lambda: int(api.expect(204, "GET", location)[1]["range"].split("-")[1]) + 1
    # Half of what was announced, then the connection is gone.
    connection = api.connect()
    connection.putrequest("PATCH", location, skip_host=True)
    for name, value in {**api.headers, "Content-Length": str(len(content))}.items():
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(content[: 3 * MIB])
    wait_for(lambda: offset() == 3 * MIB, "what was sent has arrived")
    connection.close()
    api.expect(202, "PATCH", location, content[3 * MIB : 5 * MIB], Content_Range=f"{3 * MIB}-{5 * MIB - 1}")
    server.kill("control")
    # The next one takes the same socket: the connection waits for it.
    assert offset() == 5 * MIB
    status, headers, _ = api.ask("PATCH", location, b"x", Content_Range="0-0")
    assert (status, headers["range"]) == (416, f"0-{5 * MIB - 1}")
    # Killed while a piece is on its way: what arrived before is there.
    connection = api.connect()
    connection.putrequest("PATCH", location, skip_host=True)
    for name, value in {**api.headers, "Content-Length": str(3 * MIB)}.items():
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(content[5 * MIB : 6 * MIB])
    wait_for(lambda: offset() == 6 * MIB, "what was sent has arrived")
    server.kill("control")
    at = offset()
    assert at == 6 * MIB
    digest = digest_of(content)
    last = f"{at}-{len(content) - 1}"
    api.expect(201, "PUT", f"{location}?digest={digest}", content[at:], Content_Range=last)
    api.image("cut", "whole", b"layer")
    assert api.expect(200, "GET", f"/v2/cut/blobs/{digest}")[2] == content


def test_a_digest_that_does_not_match_is_refused(password):
    api = Api(password)
    location = api.begin("wrong")
    status, _, body = api.ask("PUT", f"{location}?digest={digest_of(b'other')}", b"content")
    assert (status, json.loads(body)["errors"][0]["code"]) == (400, "DIGEST_INVALID")
    api.expect(404, "GET", location)
    api.expect(404, "HEAD", f"/v2/wrong/blobs/{digest_of(b'other')}")
    manifest = json.dumps({"schemaVersion": 2, "config": {"mediaType": CONFIG, "digest": digest_of(b"no"), "size": 2}, "layers": []})
    status, _, body = api.ask("PUT", "/v2/wrong/manifests/v1", manifest, Content_Type=MANIFEST)
    assert (status, json.loads(body)["errors"][0]["code"]) == (400, "MANIFEST_BLOB_UNKNOWN")


def pss_kib(server):
    """Proportional memory of all of the server's processes."""
    total = 0
    for role in ("server", "control", "lb", "node"):
        for pid in server.pids(role):
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total


def test_ten_large_images_at_once_need_little_memory(server, ecr, password):
    base = os.urandom(100 * MIB)
    peak, over = [0], threading.Event()

    def watch():
        while not over.is_set():
            peak[0] = max(peak[0], pss_kib(server))
            over.wait(0.05)

    def push(number):
        layer = bytearray(base)
        layer[:8] = number.to_bytes(8, "big")
        return Api(password).image("large", f"v{number}", bytes(layer))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            digests = list(pool.map(push, range(10)))
        # And out again.
        layer = json.loads(Api(password).expect(200, "GET", "/v2/large/manifests/v3")[2])["layers"][0]["digest"]
        assert digest_of(Api(password).expect(200, "GET", f"/v2/large/blobs/{layer}")[2]) == layer
    finally:
        over.set()
        watcher.join()
    print(f"peak of all processes: {peak[0] / 1024:.1f} MiB")
    assert 0 < peak[0] < 100 * 1024
    found = {each["imageDigest"] for each in ecr.describe_images(repositoryName="large")["imageDetails"]}
    assert found == set(digests)
    ecr.delete_repository(repositoryName="large", force=True)
    pruned = server.run("image", "prune", "--state-dir", server.state).stdout
    assert not any((server.state / "images" / "blobs" / "sha256" / digest[7:]).exists() for digest in digests), pruned


def test_a_task_runs_what_was_pushed_under_every_name(server, ecr, network, password, archive):
    ecs = server.client("ecs")
    ecs.create_cluster(clusterName="registry")
    ecr.create_repository(repositoryName="run")
    tool("skopeo", "copy", "--dest-tls-verify=false", "--dest-creds", f"AWS:{password}", f"oci-archive:{archive}", f"docker://{ECR}/run:v1")
    amazon = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com"
    digest = ecr.describe_images(repositoryName="run")["imageDetails"][0]["imageDigest"]
    names = [f"{host}/run:v1" for host in [*HOSTS, amazon, "999999999999.dkr.ecr.us-east-1.amazonaws.com"]]
    names.append(f"{amazon}/run@{digest}")
    # What was loaded under such a name is there too.
    server.run("image", "tag", "app:latest", "localhost:4566/loaded:v1", "--state-dir", server.state)
    names.append(f"{ECR}/loaded:v1")
    tasks = []
    for number, name in enumerate(names):
        definition = register(ecs, f"name-{number}", image=name)
        run = ecs.run_task(cluster="registry", taskDefinition=definition, launchType="FARGATE", networkConfiguration=awsvpc(network))
        tasks.append((name, run["tasks"][0]["taskArn"]))
    for name, task in tasks:
        shown = wait_for_status(ecs, "registry", task, "RUNNING")
        assert shown["containers"][0]["image"] == name
        ecs.stop_task(cluster="registry", task=task)
    for _, task in tasks:
        wait_for_status(ecs, "registry", task, "STOPPED")
    listed = {each["repositoryName"] for each in ecr.describe_repositories()["repositories"]}
    assert {"run", "loaded"} <= listed
    definition = register(ecs, "absent", image=f"{amazon}/run:none")
    run = ecs.run_task(cluster="registry", taskDefinition=definition, launchType="FARGATE", networkConfiguration=awsvpc(network))
    stopped = wait_for_status(ecs, "registry", run["tasks"][0]["taskArn"], "STOPPED")
    assert "CannotPullContainerError" in stopped["stoppedReason"], stopped


def test_a_repositorys_life(ecr, password):
    api = Api(password, ECR)
    message = fails("RepositoryNotFoundException", ecr.describe_repositories, repositoryNames=["life"])
    assert message == f"The repository with name 'life' does not exist in the registry with id '{ACCOUNT}'"
    assert api.ask("POST", "/v2/life/blobs/uploads/")[0] == 404
    tags = [{"Key": "team", "Value": "a"}]
    made = ecr.create_repository(repositoryName="life", tags=tags, imageTagMutability="IMMUTABLE")["repository"]
    assert made["repositoryArn"] == f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/life"
    assert made["imageScanningConfiguration"] == {"scanOnPush": False}
    assert made["encryptionConfiguration"] == {"encryptionType": "AES256"}
    fails("RepositoryAlreadyExistsException", ecr.create_repository, repositoryName="life")
    fails("InvalidParameterException", ecr.create_repository, repositoryName="Not-Fine")
    assert ecr.list_tags_for_resource(resourceArn=made["repositoryArn"])["tags"] == tags
    ecr.tag_resource(resourceArn=made["repositoryArn"], tags=[{"Key": "stage", "Value": "b"}])
    ecr.untag_resource(resourceArn=made["repositoryArn"], tagKeys=["team"])
    assert ecr.list_tags_for_resource(resourceArn=made["repositoryArn"])["tags"] == [{"Key": "stage", "Value": "b"}]

    one, two = api.image("life", "v1", b"one"), api.image("life", "v2", b"two")
    manifest = ecr.batch_get_image(repositoryName="life", imageIds=[{"imageTag": "v1"}, {"imageTag": "none"}])
    assert manifest["images"][0]["imageId"] == {"imageDigest": one, "imageTag": "v1"}
    assert digest_of(manifest["images"][0]["imageManifest"].encode()) == one
    assert manifest["failures"][0]["failureCode"] == "ImageNotFound"
    text = manifest["images"][0]["imageManifest"]
    message = fails("ImageTagAlreadyExistsException", ecr.put_image, repositoryName="life", imageManifest=text, imageTag="v2")
    assert "immutable" in message
    status, _, body = api.ask("PUT", "/v2/life/manifests/v2", text, Content_Type=MANIFEST)
    assert (status, json.loads(body)["errors"][0]["code"]) == (400, "TAG_INVALID")
    fails("ImageAlreadyExistsException", ecr.put_image, repositoryName="life", imageManifest=text, imageTag="v1")
    # How an image gets another tag by the API.
    ecr.put_image(repositoryName="life", imageManifest=text, imageTag="v1-again")
    ecr.put_image_tag_mutability(repositoryName="life", imageTagMutability="MUTABLE")
    ecr.put_image(repositoryName="life", imageManifest=text, imageTag="v2")
    by_tags = {each["imageDigest"]: each.get("imageTags") for each in ecr.describe_images(repositoryName="life")["imageDetails"]}
    assert by_tags == {one: ["v1", "v1-again", "v2"], two: None}
    untagged = ecr.list_images(repositoryName="life", filter={"tagStatus": "UNTAGGED"})["imageIds"]
    assert untagged == [{"imageDigest": two}]
    pages = ecr.get_paginator("list_images").paginate(repositoryName="life", PaginationConfig={"PageSize": 1})
    assert len([each for page in pages for each in page["imageIds"]]) == 4
    message = fails("ImageNotFoundException", ecr.describe_images, repositoryName="life", imageIds=[{"imageTag": "none"}])
    assert message == (
        "The image with imageId {imageDigest:'null', imageTag:'none'} does not exist within the repository with name 'life' "
        f"in the registry with id '{ACCOUNT}'"
    )
    fails("RepositoryNotEmptyException", ecr.delete_repository, repositoryName="life")
    ids = [{"imageTag": "v1"}, {"imageDigest": two}, {"imageTag": "v2", "imageDigest": two}, {"imageTag": "none"}]
    deleted = ecr.batch_delete_image(repositoryName="life", imageIds=ids)
    assert deleted["imageIds"] == [{"imageDigest": one, "imageTag": "v1"}, {"imageDigest": two}]
    assert [each["failureCode"] for each in deleted["failures"]] == ["ImageTagDoesNotMatchDigest", "ImageNotFound"]
    ecr.batch_delete_image(repositoryName="life", imageIds=[{"imageDigest": one}])
    assert ecr.delete_repository(repositoryName="life")["repository"]["repositoryName"] == "life"
    fails("RepositoryNotFoundException", ecr.list_images, repositoryName="life")


def test_policies(ecr):
    ecr.create_repository(repositoryName="policies")
    name = {"repositoryName": "policies"}
    fails("RepositoryPolicyNotFoundException", ecr.get_repository_policy, **name)
    statement = {"Sid": "all", "Effect": "Allow", "Principal": "*", "Action": ["ecr:BatchGetImage"]}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    ecr.set_repository_policy(policyText=policy, **name)
    assert ecr.get_repository_policy(**name)["policyText"] == policy
    for wrong in ("{", "{}", json.dumps({"Statement": [dict(statement, Effect="Maybe")]}), json.dumps({"Statement": [dict(statement, Action="s3:*")]})):
        fails("InvalidParameterException", ecr.set_repository_policy, policyText=wrong, **name)
    assert ecr.delete_repository_policy(**name)["policyText"] == policy
    fails("LifecyclePolicyNotFoundException", ecr.get_lifecycle_policy, **name)
    selection = {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 14}
    rule = {"rulePriority": 1, "description": "old", "selection": selection, "action": {"type": "expire"}}
    lifecycle = json.dumps({"rules": [rule]})
    ecr.put_lifecycle_policy(lifecyclePolicyText=lifecycle, **name)
    assert ecr.get_lifecycle_policy(**name)["lifecyclePolicyText"] == lifecycle
    fails("InvalidParameterException", ecr.put_lifecycle_policy, lifecyclePolicyText=json.dumps({"rules": [rule, rule]}), **name)
    assert ecr.delete_lifecycle_policy(**name)["lifecyclePolicyText"] == lifecycle
    filters = [{"filterType": "WILDCARD", "filter": "latest*"}]
    fails("InvalidParameterException", ecr.put_image_tag_mutability, imageTagMutability="IMMUTABLE_WITH_EXCLUSION", **name)
    answer = ecr.put_image_tag_mutability(imageTagMutability="IMMUTABLE_WITH_EXCLUSION", imageTagMutabilityExclusionFilters=filters, **name)
    assert answer["imageTagMutabilityExclusionFilters"] == filters
    assert ecr.put_image_scanning_configuration(imageScanningConfiguration={"scanOnPush": True}, **name)["imageScanningConfiguration"]["scanOnPush"]
    assert ecr.describe_registry()["registryId"] == ACCOUNT


def test_layers_through_the_api(ecr):
    ecr.create_repository(repositoryName="layers")
    name = {"repositoryName": "layers"}
    content = os.urandom(5 * MIB)
    begun = ecr.initiate_layer_upload(**name)
    upload, size = {"uploadId": begun["uploadId"], **name}, begun["partSize"]
    fails("EmptyUploadException", ecr.complete_layer_upload, layerDigests=[digest_of(content)], **upload)
    ecr.upload_layer_part(partFirstByte=0, partLastByte=size - 1, layerPartBlob=content[:size], **upload)
    fails("InvalidLayerPartException", ecr.upload_layer_part, partFirstByte=0, partLastByte=0, layerPartBlob=b"x", **upload)
    rest = ecr.upload_layer_part(partFirstByte=size, partLastByte=len(content) - 1, layerPartBlob=content[size:], **upload)
    assert rest["lastByteReceived"] == len(content) - 1
    digest = digest_of(content)
    checked = ecr.batch_check_layer_availability(layerDigests=[digest, "x"], **name)
    assert checked["layers"][0]["layerAvailability"] == "UNAVAILABLE"
    assert checked["failures"][0]["failureCode"] == "InvalidLayerDigest"
    assert ecr.complete_layer_upload(layerDigests=[digest], **upload)["layerDigest"] == digest
    fails("UploadNotFoundException", ecr.complete_layer_upload, layerDigests=[digest], **upload)
    assert ecr.batch_check_layer_availability(layerDigests=[digest], **name)["layers"][0]["layerAvailability"] == "AVAILABLE"
    fails("LayersNotFoundException", ecr.get_download_url_for_layer, layerDigest=digest_of(b"none"), **name)
    url = ecr.get_download_url_for_layer(layerDigest=digest, **name)["downloadUrl"]
    connection = http.client.HTTPConnection(ECR)
    connection.request("GET", url.removeprefix(f"http://{ECR}"))
    assert connection.getresponse().read() == content
    ecr.delete_repository(force=True, **name)


def test_names_have_limits(ecr, password):
    api = Api(password)
    for name in ("a" * 211, "A", "a//b", "a:b", "..", "-a"):
        status, _, body = api.ask("POST", f"/v2/{name}/blobs/uploads/")
        assert (status, json.loads(body)["errors"][0]["code"]) == (400, "NAME_INVALID"), name
    fails("InvalidParameterException", ecr.create_repository, repositoryName="a" * 257)
    fails("InvalidParameterException", ecr.create_repository, repositoryName="a" * 211)
    assert ecr.create_repository(repositoryName="a" * 200)["repository"]["repositoryName"] == "a" * 200
