"""Waiting for something: what is returned, and what is said when it does not come."""

from __future__ import annotations

import pytest

from local.errors import LocalError, NoAnswerError, ServiceError
from local.machine.waiting import until


def test_what_is_true_is_returned() -> None:
    found = iter([None, "", "here"])
    assert until(lambda: next(found), 5, "it is here", pause=0) == "here"


def test_it_is_looked_at_once_however_short_the_time() -> None:
    assert until(lambda: "here", 0, "it is here") == "here"


def test_what_does_not_come_is_said_with_what_there_is_instead() -> None:
    with pytest.raises(ServiceError, match=r"^Not within 0 s: it is here \(only that\)$"):
        until(lambda: None, 0, "it is here", pause=0, explain=lambda: "only that")


def test_who_does_not_answer_is_asked_again() -> None:
    asked = []

    def ask() -> str:
        asked.append(1)
        if len(asked) == 1:
            raise NoAnswerError("silence")
        return "here"

    assert until(ask, 5, "it is here", pause=0) == "here"


def test_who_never_answers_is_named() -> None:
    def ask() -> str:
        raise NoAnswerError("nobody at home")

    with pytest.raises(ServiceError, match=r"^Not within 0 s: it is here \(nobody at home\)$"):
        until(ask, 0, "it is here", explain=lambda: "not asked for")


def test_another_error_ends_the_waiting() -> None:
    def ask() -> str:
        raise LocalError("refused")

    with pytest.raises(LocalError, match="refused"):
        until(ask, 5, "it is here")
