"""What several distributions have, as none of them may import another: it has to be the same."""

from __future__ import annotations

from airflow_ecs_entrypoint import faults
from airflow_ecs_executor import wording

from images.dags import bucket


def test_aws_s_messages_are_read_in_the_same_way() -> None:
    for name in ("_CLOCK", "_NOT_ALLOWED", "_EXPLICITLY_DENIED"):
        assert getattr(faults, name) == getattr(wording, name), name
    assert faults._KEY == bucket._OF_KEY


def test_the_errors_of_kms_keys_that_have_advice() -> None:
    usual = faults._key_remedy("KMS.Other")
    assert {code for code in bucket._KEY_HINTS if faults._key_remedy(code) != usual} == {*bucket._KEY_HINTS}
