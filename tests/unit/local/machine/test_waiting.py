"""Waiting for something: what is returned, and what is said when it does not come."""

from __future__ import annotations

import pytest

from local.errors import NoAnswerError, ServiceError
from local.machine.waiting import until


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
