"""The log driver ``awslogs``: a container's output to a stream of CloudWatch Logs."""

from __future__ import annotations

import asyncio
import sys
import time
import traceback
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.ecs.containers.aws import Aws, in_words
from local.ecs.errors import CannotStartError
from local.ecs.state import Document

# AWS's own driver sends every five seconds; so long would a test have to wait.
_FLUSH_SECONDS = 1.0
# The driver cuts lines into events of 256 KiB, of which 26 bytes are CloudWatch's overhead.
EVENT_BYTES = 262_144 - 26
# PutLogEvents takes 1 MiB and 10,000 events at most.
BATCH_EVENTS = 1000
_BATCH_BYTES = 700_000
# More output than that is not read before some is sent.
_WAITING_BYTES = 8_000_000


def options_of(container: Document) -> Document | None:
    """Return the options of a container's awslogs; None when it logs elsewhere."""
    configuration: Document = container.get("logConfiguration") or {}
    return configuration.get("options", {}) if configuration.get("logDriver") == "awslogs" else None


def stream_name(options: Document, container: str, task_id: str, container_id: str) -> str:
    """``prefix/container/task``; without a prefix the container's id, as on EC2."""
    prefix = options.get("awslogs-stream-prefix")
    return f"{prefix}/{container}/{task_id}" if prefix else container_id


class LogEvents:
    """Splits output into events, one for each line that is not empty, and events into batches for PutLogEvents."""

    def __init__(self) -> None:
        """Begin without any."""
        self._events: deque[tuple[int, bytes]] = deque()
        self._rest = b""
        self.waiting_bytes = 0
        """Of the events that are in no batch yet."""

    def write(self, text: str, milliseconds: int) -> None:
        """Take a piece of output, and when it came. What follows its last line break is held back."""
        *lines, self._rest = (self._rest + text.encode()).split(b"\n")
        for line in lines:
            self._add(line.removesuffix(b"\r"), milliseconds)
        while len(self._rest) > EVENT_BYTES:
            end = _cut(self._rest)
            self._add(self._rest[:end], milliseconds)
            self._rest = self._rest[end:]

    def finish(self, milliseconds: int) -> None:
        """Add the last line: the output has ended."""
        self._add(self._rest, milliseconds)
        self._rest = b""

    def batch(self) -> list[dict[str, Any]]:
        """Return the oldest events, as many as one call takes."""
        batch: list[dict[str, Any]] = []
        size = 0
        while self._events and len(batch) < BATCH_EVENTS and size + len(self._events[0][1]) <= _BATCH_BYTES:
            moment, line = self._events.popleft()
            size += len(line)
            batch.append({"timestamp": moment, "message": line.decode()})
        self.waiting_bytes -= size
        return batch

    def _add(self, line: bytes, milliseconds: int) -> None:
        while line:
            end = _cut(line)
            self._events.append((milliseconds, line[:end]))
            self.waiting_bytes += end
            line = line[end:]


def _cut(line: bytes) -> int:
    """Return how many bytes of UTF-8 make an event: no character is cut in two."""
    if len(line) <= EVENT_BYTES:
        return len(line)
    end = EVENT_BYTES
    while line[end] & 0b1100_0000 == 0b1000_0000:  # goes on with a character
        end -= 1
    return end


class LogStream:
    """A log stream. Output is sent once a second, and at the end."""

    def __init__(self, aws: Aws, group: str, name: str) -> None:
        """Nothing is asked yet."""
        self._aws = aws
        self._place = {"logGroupName": group, "logStreamName": name}
        self._events = LogEvents()
        self._sending = asyncio.Lock()

    async def create(self, *, group_too: bool) -> None:
        """Create the stream, and on request its group. Raises CannotStartError."""
        try:
            await asyncio.to_thread(self._create, group_too)
        except (BotoCoreError, ClientError) as error:
            raise CannotStartError(
                "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: "
                f"failed to create Cloudwatch log stream: {in_words(error)} : exit status 1"
            ) from error

    def _create(self, group_too: bool) -> None:
        logs = self._aws.client("logs")
        for wanted, call, place in (
            (group_too, logs.create_log_group, {"logGroupName": self._place["logGroupName"]}),
            (True, logs.create_log_stream, self._place),
        ):
            if wanted:
                try:
                    call(**place)
                except logs.exceptions.ResourceAlreadyExistsException:
                    pass

    async def carry(self, output: AsyncIterator[str]) -> None:
        """Send all of a container's output, until it ends."""
        ended = asyncio.Event()
        flushing = asyncio.create_task(self._flush_until(ended))
        try:
            async for text in output:
                self._events.write(text, _now())
                if self._events.waiting_bytes > _WAITING_BYTES:
                    await self._flush()
        finally:
            self._events.finish(_now())
            ended.set()
            await flushing

    async def _flush_until(self, ended: asyncio.Event) -> None:
        """Send waiting events once a second, and at the end."""
        over = False
        while not over:
            try:
                over = await asyncio.wait_for(ended.wait(), _FLUSH_SECONDS)
            except asyncio.TimeoutError:
                pass  # it goes on
            await self._flush()

    async def _flush(self) -> None:
        async with self._sending:  # events must not overtake each other
            while batch := self._events.batch():
                await self._send(batch)

    async def _send(self, batch: list[dict[str, Any]]) -> None:
        try:
            await asyncio.to_thread(self._aws.client("logs").put_log_events, **self._place, logEvents=batch)
        except Exception as error:  # noqa: BLE001 - the container goes on whatever happens to its output
            # As with AWS's driver in its default mode, the container goes on, and its output is lost.
            expected = isinstance(error, (BotoCoreError, ClientError))
            why = in_words(error) if expected else traceback.format_exc()
            print(f"Output of {self._place['logStreamName']} is lost: {why}", file=sys.stderr)


def _now() -> int:
    return int(time.time() * 1000)
