"""A container's output as events of CloudWatch Logs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from local.ecs.containers.aws import Aws
from local.ecs.containers.awslogs import BATCH_EVENTS, EVENT_BYTES, LogEvents, LogStream


def messages(events: LogEvents) -> list[str]:
    found: list[str] = []
    while batch := events.batch():
        found += [event["message"] for event in batch]
    return found


class TestEvents:
    def test_are_the_lines_in_their_order_and_with_their_time(self) -> None:
        events = LogEvents()
        events.write("one\ntw", 1)
        events.write("o\r\nthree\n", 2)
        assert events.batch() == [
            {"timestamp": 1, "message": "one"},
            {"timestamp": 2, "message": "two"},
            {"timestamp": 2, "message": "three"},
        ]
        assert events.batch() == []

    def test_a_line_without_an_end_waits_for_the_end_of_the_output(self) -> None:
        events = LogEvents()
        events.write("whole\nrest", 1)
        assert messages(events) == ["whole"]
        events.finish(2)
        assert events.batch() == [{"timestamp": 2, "message": "rest"}]

    def test_empty_lines_are_none(self) -> None:
        events = LogEvents()
        events.write("\n\r\none\n\n", 1)
        events.finish(1)
        assert messages(events) == ["one"]

    @pytest.mark.parametrize("end", ["\n", ""])
    def test_a_long_line_is_several_and_no_character_is_cut(self, end: str) -> None:
        events = LogEvents()
        line = "a" + "é" * EVENT_BYTES
        for place in range(0, len(line), 16_000):
            events.write(line[place : place + 16_000], 1)
        events.write(end, 1)
        events.finish(1)
        found = messages(events)
        assert "".join(found) == line
        assert len(found) == 3 and max(len(message.encode()) for message in found) <= EVENT_BYTES

    def test_a_long_line_is_not_held_back_until_its_end(self) -> None:
        events = LogEvents()
        events.write("x" * (3 * EVENT_BYTES + 1), 1)
        assert messages(events) == ["x" * EVENT_BYTES] * 3

    def test_a_batch_is_no_more_than_one_call_takes(self) -> None:
        events = LogEvents()
        events.write("x\n" * (BATCH_EVENTS + 1), 1)
        assert [len(events.batch()), len(events.batch())] == [BATCH_EVENTS, 1]
        events.write(("y" * EVENT_BYTES + "\n") * 5, 1)
        sizes = []
        while batch := events.batch():
            sizes.append(sum(len(event["message"]) + 26 for event in batch))
        assert max(sizes) < 1024**2 and sum(sizes) == 5 * (EVENT_BYTES + 26)


class Logs:
    """CloudWatch Logs that may refuse."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.refusals: list[str | Exception] = []

    def client(self, service: str) -> Logs:
        return self

    def put_log_events(self, logGroupName: str, logStreamName: str, logEvents: list[dict[str, Any]]) -> None:
        self._may_refuse()
        self.messages += [event["message"] for event in logEvents]

    def _may_refuse(self) -> None:
        if self.refusals:
            refusal = self.refusals.pop()
            if isinstance(refusal, Exception):
                raise refusal
            raise ClientError({"Error": {"Code": refusal, "Message": "No."}}, "X")


@pytest.fixture
def logs() -> Logs:
    return Logs()


def carried(logs: Logs, *pieces: str | float) -> None:
    """Carry pieces of output to a stream, with pauses (seconds) between them."""

    async def output() -> AsyncIterator[str]:
        for piece in pieces:
            if isinstance(piece, str):
                yield piece
            else:
                await asyncio.sleep(piece)

    asyncio.run(LogStream(cast(Aws, logs), "/group", "stream").carry(output()))


class TestAStream:
    def test_loses_what_is_refused_and_goes_on(self, logs: Logs, capsys: pytest.CaptureFixture[str]) -> None:
        logs.refusals = ["ThrottlingException"]
        carried(logs, "lost\n", 1.3, "kept\n")
        assert logs.messages == ["kept"]
        assert capsys.readouterr().err == "Output of stream is lost: ThrottlingException: No.\n"
