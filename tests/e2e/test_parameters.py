"""The Parameter Store as boto3 and the AWS CLI use it."""

import json

import botocore.exceptions
import pytest


@pytest.fixture(scope="module")
def ssm(server):
    return server.client("ssm")


def test_a_parameter_is_written_read_and_removed(ssm):
    assert ssm.put_parameter(Name="/shop/url", Value="http://a", Type="String")["Version"] == 1
    assert ssm.put_parameter(Name="/shop/url", Value="http://b", Overwrite=True)["Version"] == 2
    assert ssm.get_parameter(Name="/shop/url")["Parameter"]["Value"] == "http://b"
    assert ssm.get_parameter(Name="/shop/url:1")["Parameter"]["Value"] == "http://a"
    with pytest.raises(ssm.exceptions.ParameterAlreadyExists):
        ssm.put_parameter(Name="/shop/url", Value="c", Type="String")
    ssm.label_parameter_version(Name="/shop/url", Labels=["live"], ParameterVersion=1)
    assert ssm.get_parameter(Name="/shop/url:live")["Parameter"]["Value"] == "http://a"
    history = ssm.get_parameter_history(Name="/shop/url")["Parameters"]
    assert [(each["Version"], each["Labels"]) for each in history] == [(1, ["live"]), (2, [])]
    ssm.delete_parameter(Name="/shop/url")
    with pytest.raises(ssm.exceptions.ParameterNotFound):
        ssm.get_parameter(Name="/shop/url")


def test_secrets_are_shown_on_request_alone(ssm):
    ssm.put_parameter(Name="/shop/password", Value="hunter2", Type="SecureString")
    assert "hunter2" not in json.dumps(ssm.describe_parameters()["Parameters"], default=str)
    assert ssm.get_parameter(Name="/shop/password")["Parameter"]["Value"] != "hunter2"
    assert ssm.get_parameter(Name="/shop/password", WithDecryption=True)["Parameter"]["Value"] == "hunter2"
    ssm.delete_parameter(Name="/shop/password")


def test_a_hierarchy_is_paged(ssm):
    names = [f"/tree/{number:02}" for number in range(23)]
    for name in names:
        ssm.put_parameter(Name=name, Value=name, Type="String", Tags=[{"Key": "tree", "Value": "yes"}])
    pages = ssm.get_paginator("get_parameters_by_path").paginate(Path="/tree")
    assert [each["Name"] for page in pages for each in page["Parameters"]] == names
    filters = [{"Key": "tag:tree", "Values": ["yes"]}]
    pages = ssm.get_paginator("describe_parameters").paginate(ParameterFilters=filters, PaginationConfig={"PageSize": 5})
    assert [each["Name"] for page in pages for each in page["Parameters"]] == names
    deleted = [name for start in range(0, 23, 10) for name in ssm.delete_parameters(Names=names[start : start + 10])["DeletedParameters"]]
    assert deleted == names


def test_errors_are_those_of_aws(ssm):
    for input, code in [
        ({"Name": "/aws/x", "Value": "v", "Type": "String"}, "AccessDeniedException"),
        ({"Name": "/a" * 16, "Value": "v", "Type": "String"}, "HierarchyLevelLimitExceededException"),
        ({"Name": "x", "Value": "v" * 4097, "Type": "String"}, "ValidationException"),
        ({"Name": "x", "Value": "v", "Type": "String", "AllowedPattern": "^[0-9]$"}, "ParameterPatternMismatchException"),
    ]:
        with pytest.raises(botocore.exceptions.ClientError) as refused:
            ssm.put_parameter(**input)
        assert refused.value.response["Error"]["Code"] == code


def test_the_cli_finds_amazons_images(server):
    path = "/aws/service/ecs/optimized-ami/amazon-linux-2/recommended"
    image = server.aws("ssm", "get-parameter", "--name", f"{path}/image_id", "--query", "Parameter.Value")
    document = server.aws("ssm", "get-parameters", "--names", path, "--query", "Parameters[0].Value", "--output", "text")
    assert document["image_id"] == image.strip('"') and document["image_id"].startswith("ami-0")
