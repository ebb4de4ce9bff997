"""Reading a stack's outputs, from CloudFormation's answers over HTTP."""

from __future__ import annotations

import dataclasses
import re

import pytest
from airflow_ecs_executor.aws.stack import StackError, output_key, outputs_of, read_stack

from tests.paths import ROOT
from tests.unit.executor.cloudformation import FIELDS, VALUES, CloudFormation, described

TEMPLATE = ROOT / "deploy" / "template.yaml"


def test_the_outputs_are_those_of_the_template() -> None:
    text = TEMPLATE.read_text(encoding="utf-8")
    outputs = re.findall(r"^  (\w+):$", text[text.index("\nOutputs:\n") :], re.MULTILINE)
    assert sorted(outputs) == sorted(map(output_key, FIELDS))


def test_outputs_are_read_by_their_names() -> None:
    assert dataclasses.asdict(outputs_of("airflow-ecs", described())) == VALUES


@pytest.mark.parametrize("status", ["UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED"])
def test_a_stack_whose_update_goes_on_or_has_failed_has_its_former_outputs(status: str) -> None:
    assert outputs_of("airflow-ecs", described(status)).cluster_name == "the cluster_name"


@pytest.mark.parametrize(
    "status, remedy",
    [
        ("CREATE_IN_PROGRESS", "Wait for it: aws cloudformation wait stack-create-complete --stack-name airflow-ecs"),
        ("ROLLBACK_COMPLETE", "aws cloudformation describe-stack-events --stack-name airflow-ecs says why"),
        ("DELETE_IN_PROGRESS", "aws cloudformation describe-stack-events --stack-name airflow-ecs says why"),
    ],
)
def test_a_stack_that_is_not_there_yet_or_any_more_is_refused(status: str, remedy: str) -> None:
    with pytest.raises(StackError) as raised:
        outputs_of("airflow-ecs", described(status))
    assert str(raised.value).startswith(f"The stack airflow-ecs is {status}. {remedy}")


def test_a_stack_of_another_template_is_refused_with_what_it_lacks() -> None:
    with pytest.raises(StackError, match=r"airflow-ecs has no output DagsUri, LogsUri\. .*--template-file"):
        outputs_of("airflow-ecs", described(dags_uri=None, logs_uri=None))


def test_a_stack_is_asked_for_by_its_name(aws: CloudFormation) -> None:
    aws.has(described(dags_uri="s3://bucket/dags?a&b"))
    assert read_stack("airflow-ecs").dags_uri == "s3://bucket/dags?a&b"


def test_a_stack_that_does_not_exist_is_told_with_how_to_make_it(aws: CloudFormation) -> None:
    aws.refuses("ValidationError", "Stack with id airflow-ecs does not exist")
    with pytest.raises(StackError) as raised:
        read_stack("airflow-ecs")
    assert raised.value.message == "There is no stack airflow-ecs in this region and account."
    assert "aws cloudformation deploy --stack-name airflow-ecs" in raised.value.remedy
    assert not raised.value.aws


def test_a_refusal_of_aws_says_which_permission_is_needed(aws: CloudFormation) -> None:
    aws.refuses("AccessDenied", "User: arn:aws:iam::1:user/a is not authorized")
    with pytest.raises(StackError, match=r"AccessDenied: .*cloudformation:DescribeStacks") as raised:
        read_stack("airflow-ecs")
    assert raised.value.aws


def test_the_region_is_that_of_the_caller_then_that_of_the_aws_cli_then_boto3_s(
    aws: CloudFormation, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.has(described())
    read_stack("airflow-ecs")
    assert aws.region == "eu-west-1"
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    read_stack("airflow-ecs")
    assert aws.region == "eu-central-1"
    read_stack("airflow-ecs", "us-west-2")
    assert aws.region == "us-west-2"


@pytest.mark.parametrize(
    "environment, remedy",
    [
        ({"AWS_DEFAULT_REGION": None}, r"You must specify a region\. Give --region, or set AWS_REGION\."),
        ({"AWS_PROFILE": "nobody"}, r"config profile \(nobody\) could not be found\. Check credentials"),
        ({"AWS_ACCESS_KEY_ID": None}, "AWS credentials are missing, wrong or expired"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "Check the network's way to AWS"),
    ],
)
def test_what_this_machine_lacks_is_told_with_what_to_do(
    environment: dict[str, str | None], remedy: str, aws: CloudFormation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    for name, value in environment.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    with pytest.raises(StackError, match=rf"^The stack airflow-ecs cannot be read: .*{remedy}") as raised:
        read_stack("airflow-ecs")
    assert raised.value.aws
