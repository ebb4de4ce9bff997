"""What several distributions have, as none of them may import another: it has to be the same."""

from __future__ import annotations

from airflow_ecs_entrypoint.sync import error_mapping
from airflow_ecs_executor.aws import wording

from images.dags import bucket


def test_aws_s_messages_are_read_in_the_same_way() -> None:
    for name in ("_CLOCK", "_NOT_ALLOWED", "_EXPLICITLY_DENIED"):
        assert getattr(error_mapping, name) == getattr(wording, name), name
    assert error_mapping._KEY == bucket._OF_KEY


def test_the_errors_of_kms_keys_that_have_advice() -> None:
    usual = error_mapping._key_remedy("KMS.Other")
    assert {code for code in bucket._KEY_HINTS if error_mapping._key_remedy(code) != usual} == {*bucket._KEY_HINTS}
