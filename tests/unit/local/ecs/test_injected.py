"""Secrets and environment files: how they are named, what they hold, and what ECS says when they cannot be had."""

from __future__ import annotations

import asyncio
import io
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from local.ecs.containers.aws import Aws
from local.ecs.containers.injected import injected, parameter_name, secret_request, variables_of
from local.ecs.errors import CannotStartError

SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:database-AbCdEf"


def unknown(operation: str) -> ClientError:
    return ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": "It is not there."}}, operation)


class Services:
    """Secrets Manager, Systems Manager and S3 with a few values, as one client for all three."""

    def __init__(self) -> None:
        self.secrets: dict[str, dict[str, Any]] = {}
        self.parameters: dict[str, str] = {}
        self.objects: dict[tuple[str, str], bytes] = {}

    def client(self, service: str) -> Services:
        return self

    def get_secret_value(self, SecretId: str, **version: str) -> dict[str, Any]:
        if SecretId not in self.secrets:
            raise unknown("GetSecretValue")
        return self.secrets[SecretId]

    def get_parameter(self, Name: str, WithDecryption: bool) -> dict[str, Any]:
        if Name not in self.parameters or not WithDecryption:
            raise unknown("GetParameter")
        return {"Parameter": {"Value": self.parameters[Name]}}

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        if (Bucket, Key) not in self.objects:
            raise unknown("GetObject")
        return {"Body": io.BytesIO(self.objects[Bucket, Key])}


@pytest.fixture
def aws() -> Services:
    return Services()


def values(aws: Services, container: dict[str, Any], override: dict[str, Any] | None = None) -> dict[str, str]:
    return asyncio.run(injected(cast(Aws, aws), container, override or {}))


def secret(name: str) -> dict[str, Any]:
    """A container with one secret, as the variable KEY."""
    return {"secrets": [{"name": "KEY", "valueFrom": name}]}


def files(*keys: str) -> dict[str, Any]:
    return {"environmentFiles": [{"type": "s3", "value": f"arn:aws:s3:::bucket/{key}"} for key in keys]}


class TestSecretsOfSecretsManager:
    @pytest.mark.parametrize(
        ("rest", "request_of_it", "key"),
        [
            ("", {}, ""),
            (":password::", {}, "password"),
            ("::AWSPREVIOUS:", {"VersionStage": "AWSPREVIOUS"}, ""),
            (":password::1-2", {"VersionId": "1-2"}, "password"),
            (":password:AWSCURRENT:1-2", {"VersionStage": "AWSCURRENT", "VersionId": "1-2"}, "password"),
        ],
    )
    def test_are_named_with_key_stage_and_version(self, rest: str, request_of_it: dict[str, str], key: str) -> None:
        assert secret_request(SECRET + rest) == ({"SecretId": SECRET, **request_of_it}, key)

    def test_are_the_whole_text_or_a_member_of_it(self, aws: Services) -> None:
        aws.secrets[SECRET] = {"SecretString": '{"password": "geheim", "port": 5432}'}
        assert values(aws, secret(SECRET)) == {"KEY": '{"password": "geheim", "port": 5432}'}
        assert values(aws, secret(f"{SECRET}:password::")) == {"KEY": "geheim"}
        assert values(aws, secret(f"{SECRET}:port::")) == {"KEY": "5432"}

    @pytest.mark.parametrize("text", ["{}", "no JSON", "[1]"])
    def test_without_the_member_keep_a_task_from_starting(self, aws: Services, text: str) -> None:
        aws.secrets[SECRET] = {"SecretString": text}
        with pytest.raises(CannotStartError) as caught:
            values(aws, secret(f"{SECRET}:password::"))
        assert caught.value.reason == (
            "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval "
            "failed: unable to retrieve secret from asm: retrieved secret from Secrets Manager did not contain json "
            "key password"
        )

    def test_and_those_that_are_not_there(self, aws: Services) -> None:
        with pytest.raises(CannotStartError) as caught:
            values(aws, secret(SECRET))
        assert caught.value.reason.endswith(
            f"service call has been retried 1 time(s): failed to fetch secret {SECRET} from secrets manager: "
            "ResourceNotFoundException: It is not there."
        )


class TestParameters:
    @pytest.mark.parametrize(
        ("given", "name"),
        [
            ("key", "key"),
            ("/airflow/key", "/airflow/key"),
            ("arn:aws:ssm:us-east-1:123456789012:parameter/key", "key"),
            ("arn:aws:ssm:us-east-1:123456789012:parameter/airflow/key", "/airflow/key"),
        ],
    )
    def test_are_named_by_name_or_arn(self, aws: Services, given: str, name: str) -> None:
        assert parameter_name(given) == name
        aws.parameters[name] = "value"
        assert values(aws, secret(given)) == {"KEY": "value"}

    def test_that_are_not_there_keep_a_task_from_starting(self, aws: Services) -> None:
        with pytest.raises(CannotStartError, match=r"unable to retrieve secrets from ssm: .*invalid parameters: /key"):
            values(aws, secret("/key"))


class TestEnvironmentFiles:
    def test_have_a_variable_in_each_line(self) -> None:
        text = "# comment\n\nA=1\nB = 2 \r\nC=a=b\nD=\nE='quoted'\nnothing\n"
        assert variables_of(text) == {"A": "1", "B ": " 2", "C": "a=b", "D": "", "E": "'quoted'"}

    def test_the_first_one_with_a_variable_counts(self, aws: Services) -> None:
        aws.objects = {("bucket", "a.env"): b"A=first\n", ("bucket", "folder/b.env"): b"A=second\nB=second\n"}
        assert values(aws, files("a.env", "folder/b.env")) == {"A": "first", "B": "second"}

    def test_those_of_an_override_are_taken_instead(self, aws: Services) -> None:
        aws.objects = {("bucket", "a.env"): b"A=a\n", ("bucket", "b.env"): b"B=b\n"}
        assert values(aws, files("a.env"), files("b.env")) == {"B": "b"}

    @pytest.mark.parametrize("content", [None, b"A=\xff"])
    def test_that_cannot_be_read_keep_a_task_from_starting(self, aws: Services, content: bytes | None) -> None:
        if content is not None:
            aws.objects["bucket", "a.env"] = content
        with pytest.raises(CannotStartError, match=r"failed to download env files: .*arn:aws:s3:::bucket/a\.env"):
            values(aws, files("a.env"))
