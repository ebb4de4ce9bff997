"""The real messages of `tests.phrasebook`, and the runner that scores a corpus."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.phrasebook.__main__ import main
from tests.phrasebook.entry import CORPORA, Entry, read
from tests.phrasebook.product import stopped
from tests.phrasebook.score import judge

ENTRIES = [entry for corpus in CORPORA for entry in read(corpus)]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.id)
def test_a_real_message_is_understood(entry: Entry) -> None:
    result = judge(entry)
    assert result.passed, f"{'; '.join(result.complaints)}\n{entry.message}\nadvice: {result.answer.advice}"


def test_a_host_that_was_taken_away_is_told_as_one() -> None:
    lost = [entry for entry in ENTRIES if entry.expect == "infrastructure"]
    assert len(lost) >= 3 and all(judge(entry).answer.meaning == "infrastructure" for entry in lost)


TEMPORARY = {
    "Capacity is unavailable at this time. Please try again later or in a different availability zone",
    "TaskFailedToStart: AGENT",
    "TaskFailedToStart: EMPTY CAPACITY PROVIDER",
    "TaskFailedToStart: NO ACTIVE INSTANCES",
    "TaskFailedToStart: RESOURCE:CPU",
    "TaskFailedToStart: RESOURCE:GPU",
    "TaskFailedToStart: RESOURCE:MEMORY",
    "ResourceInitializationError: Unable to launch instance(s) for capacity provider app-spot. UnfulfillableCapacity:",
    "ResourceInitializationError: Unable to launch instance(s) for capacity provider app-spot. MaxSpotInstanceCountEx",
    "Unexpected EC2 error while attempting to Create Network Interface with public IP assignment enabled in subnet 's",
}
"""The beginnings of reasons with which a task stopped that waits for room; the others use up an attempt."""


def test_only_tasks_without_room_are_waited_for() -> None:
    ended = [entry for entry in ENTRIES if entry.kind in ("stopped_task", "secrets")]
    assert {entry.message[:112] for entry in ended if stopped(entry).temporary} == TEMPORARY


def test_every_message_stands_once_with_its_source() -> None:
    assert len({entry.id for entry in ENTRIES}) == len(ENTRIES)
    assert all(entry.source for entry in ENTRIES)


WRONG = {
    "id": "x", "kind": "run_task_exception", "op": "RunTask", "code": "ThrottlingException", "http_status": 400,
    "message": "Rate exceeded", "extra": {}, "source": "a test", "wording": "known", "expect": "hopeless",
    "hint_must": "words that no advice has", "hint_not": None, "hint_weight": "needed", "sure": True, "common": 1,
}  # fmt: skip


def test_the_runner_scores_any_corpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text(json.dumps(WRONG) + "\n" + json.dumps({**WRONG, "expect": "throttled", "hint_must": None}) + "\n")
    assert main([str(corpus)]) == 0
    told = capsys.readouterr().out
    assert "1/2     50 % passed" in told and "it means hopeless, and was taken for throttled" in told
    assert "run_task_exception" in told and "needed advice    0/1" in told


@pytest.mark.parametrize("text", ["not json", "[]", "{}", None])
def test_a_corpus_that_cannot_be_read_gets_one_message(
    text: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = tmp_path / "corpus.jsonl"
    if text is not None:
        corpus.write_text(text)
    assert main([str(corpus)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {corpus}") and said.count("\n") == 1
