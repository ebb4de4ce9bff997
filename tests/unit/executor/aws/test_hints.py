"""Rules of the advice; `tests/phrasebook` holds it against AWS's own messages."""

from __future__ import annotations

import pytest
from airflow_ecs_executor.aws import hints
from airflow_ecs_executor.aws.wording import without_names

PREFIX = "ResourceInitializationError: unable to pull secrets or registry auth"
DENIED = "User: arn:aws:sts::123456789012:assumed-role/x/y is not authorized to perform: {action} on resource: z"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (f"{PREFIX}: unable to retrieve ecr registry auth: dial tcp 10.0.0.1:443: i/o timeout", "ecr.api"),
        (f"{PREFIX}: unable to retrieve secret from asm: AccessDeniedException", "secretsmanager:GetSecretValue"),
        (f"{PREFIX}: unable to retrieve secret from asm: Rate exceeded", "throttled"),
    ],
)
def test_the_cause_stands_at_the_end_and_the_fixed_prefix_names_no_subject(text: str, word: str) -> None:
    assert word in hints.of_stopped_task(text).text


def test_where_fargate_has_cut_the_cause_off_both_subjects_are_named() -> None:
    advice = hints.of_stopped_task(PREFIX).text
    assert "ecr:GetAuthorizationToken" in advice and "secretsmanager" in advice


def test_of_two_causes_the_last_counts() -> None:
    text = "CannotPullContainerError: pull access denied, repository does not exist: dial tcp: i/o timeout"
    assert "could not be reached" in hints.of_stopped_task(text).text


def test_the_role_is_that_of_whoever_was_denied() -> None:
    denied = DENIED.format(action="kms:Decrypt")
    assert "kms:Decrypt in the IAM policy of the scheduler's role" in hints.of_failed_call(denied)
    assert "the execution role" in hints.of_stopped_task(f"{PREFIX}: unable to retrieve secret from asm: {denied}").text


@pytest.mark.parametrize(
    ("words", "policy"),
    [
        ("because no VPC endpoint policy allows the ecs:RunTask action", "VPC endpoint policy"),
        ("because no permissions boundary allows the ecs:RunTask action", "permissions boundary"),
        ("with an explicit deny in a service control policy", "service control policy"),
        ("because no identity-based policy allows the ecs:RunTask action", "IAM policy"),
    ],
)
def test_the_policy_that_denies_is_named(words: str, policy: str) -> None:
    assert policy in hints.of_failed_call(f"{DENIED.format(action='ecs:RunTask')} {words}")


def test_the_same_word_means_another_thing_elsewhere() -> None:
    assert "task definition" in hints.of_placement("ATTRIBUTE").text
    assert "connected" in hints.of_placement("AGENT").text
    assert "connected" not in hints.of_stopped_task("CannotCreateVolumeError: Agent could not create the volume").text


IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (f"{PREFIX}: failed to fetch secret arn:aws:secretsmanager:eu-west-1:123456789012:secret:efs-429: "
         "ResourceNotFoundException: Secrets Manager can't find the specified secret.", "secret or parameter"),
        (f"{PREFIX}: unable to retrieve secrets from ssm: invalid parameters: splunk-quota", "secret or parameter"),
        ("CannotPullContainerError: pull access denied for acme/efs-tool, repository does not exist", "pulled"),
        (f"CannotPullContainerError: failed to resolve ref {IMAGE}/out-of-memory/logger:429: not found", "not exist"),
        ("CannotPullContainerError: Get https://registry.example.com/v2/throttled/x509: i/o timeout", "reached"),
    ],
)  # fmt: skip
def test_what_users_have_named_says_nothing(text: str, word: str) -> None:
    advice = hints.of_stopped_task(text)
    assert word in advice.text and not advice.waits


def test_of_a_long_text_the_beginning_and_the_end_are_looked_at() -> None:
    text = f"CannotPullContainerError: {'a-' * 50_000}: i/o timeout"
    assert len(without_names(text)) < 5_000
    assert "could not be reached" in hints.of_stopped_task(text).text


def test_what_is_not_known_gets_no_advice() -> None:
    assert not hints.of_stopped_task("Something new.").text
    assert not hints.of_failed_call("Something new.")
