"""What several distributions have, as none of them may import another: it has to be the same."""

from __future__ import annotations

from typing import Any

import pytest
from airflow_ecs_entrypoint import errors
from airflow_ecs_entrypoint.starting import arguments, command
from airflow_ecs_entrypoint.sync import error_mapping
from airflow_ecs_executor.aws import hints, task_outcome, wording, workload_store
from airflow_ecs_executor.config import options
from airflow_ecs_executor.config.options import parse_option

from images.dags import bucket

ENTRYPOINT_ERRORS: list[Any] = [error for error in vars(errors).values() if isinstance(error, type)]


def test_aws_s_messages_are_read_in_the_same_way() -> None:
    for name in ("_CLOCK", "_NOT_ALLOWED", "_EXPLICITLY_DENIED"):
        assert getattr(error_mapping, name) == getattr(wording, name), name
    assert error_mapping._KEY == bucket._OF_KEY


def test_the_errors_of_kms_keys_that_have_advice() -> None:
    usual = error_mapping._key_remedy("KMS.Other")
    assert {code for code in bucket._KEY_HINTS if error_mapping._key_remedy(code) != usual} == {*bucket._KEY_HINTS}


def test_the_executor_knows_the_exit_codes_of_the_entrypoint() -> None:
    assert {error.exit_code for error in ENTRYPOINT_ERRORS} <= {*hints.EXIT_CODES}
    temporary = {error.exit_code for error in ENTRYPOINT_ERRORS if error.temporary}
    assert temporary == task_outcome.EXITS_BEFORE_THE_COMMAND


# Arguments in S3: where the executor stores them, the entrypoint reads them.


@pytest.mark.parametrize(
    "uri",
    [
        *("s3://bucket", "s3://bucket/", "s3://my.bucket-3/workloads", "s3://bucket/team/workloads/"),
        *("s3://bucket/a_b!-(c)*'d.e", "s3://bucket//a/../b"),
    ],
)
def test_the_entrypoint_accepts_every_place_of_workloads_that_the_executor_accepts(uri: str) -> None:
    assert parse_option(options.WORKLOAD_S3_URI, uri) == uri
    store = workload_store.WorkloadStore(lambda: None, uri, "team/airflow", None)
    stored = store.prepare("0123456789abcdef", ["airflow", "tasks", "run", "dag", "task"])
    location = arguments.location_of(command.parse(stored.command))
    assert (location.bucket, location.path) == (stored.bucket, stored.key)
    assert arguments.arguments_in(stored.body, location) == ["dag", "task"]


@pytest.mark.parametrize(
    "uri",
    [
        *("bucket/workloads", "https://bucket/x", "S3://bucket", "s3://", "s3:///x", "s3://ab", "s3://-bucket"),
        *("s3://bucket-/x", "s3://My_Bucket", "s3://arn:aws:s3:::bucket", "s3://user:password@bucket/x"),
        *("s3://bucket/a b", "s3://bucket/a?b", "s3://bucket/a#b", "s3://bucket/a\nb", "s3://bucket/é"),
    ],
)
def test_what_is_not_a_place_of_workloads(uri: str) -> None:
    with pytest.raises(ValueError, match="give s3://bucket or s3://bucket/prefix"):
        parse_option(options.WORKLOAD_S3_URI, uri)


def test_the_pointer_to_arguments_and_their_size() -> None:
    assert (workload_store.POINTER, workload_store.MAX_BYTES) == (command.ARGUMENTS_FROM, arguments.MAX_BYTES)
