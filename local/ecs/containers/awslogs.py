"""The log driver ``awslogs``: a container's output to a stream of CloudWatch Logs."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.ecs.containers.aws import Aws
from local.ecs.errors import CannotStartError
from local.ecs.state import Document

# AWS's own driver sends every five seconds; so long would a test have to wait.
_FLUSH_SECONDS = 1.0
# PutLogEvents takes 1 MiB and 10,000 events at most, and an event 1 MiB with its 26 bytes of overhead.
_BATCH_EVENTS = 1000
_EVENT_BYTES = 200_000
_BATCH_BYTES = 800_000


def options_of(container: Document) -> Document | None:
    """The options of a container's awslogs; None when it logs elsewhere."""
    configuration: Document = container.get("logConfiguration") or {}
    return configuration.get("options", {}) if configuration.get("logDriver") == "awslogs" else None


def stream_name(options: Document, container: str, task_id: str, runtime_id: str) -> str:
    """``prefix/container/task``; without a prefix the container's id on the engine, as on EC2."""
    prefix = options.get("awslogs-stream-prefix")
    return f"{prefix}/{container}/{task_id}" if prefix else runtime_id


class LogStream:
    """One stream: what is written to it is sent once a second, and at the end."""

    def __init__(self, aws: Aws, group: str, name: str) -> None:
        """Nothing is asked yet."""
        self._aws = aws
        self._place = {"logGroupName": group, "logStreamName": name}
        self._events: deque[tuple[int, bytes]] = deque()
        self._rest = ""
        self._sending = asyncio.Lock()

    async def create(self, *, group_too: bool) -> None:
        """Make the stream, and its group if that is wanted. Raises CannotStartError, as a task then fails."""
        try:
            await asyncio.to_thread(self._create, group_too)
        except (BotoCoreError, ClientError) as error:
            raise CannotStartError(
                "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: "
                f"failed to create Cloudwatch log stream: {error} : exit status 1"
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
        flushing = asyncio.create_task(self._flush_again_and_again())
        try:
            async for text in output:
                self.write(text)
        finally:
            flushing.cancel()
            if self._rest:
                self.write("\n")
            await self._flush()

    def write(self, text: str) -> None:
        """Take a piece of output; each line is an event."""
        *lines, self._rest = (self._rest + text).split("\n")
        moment = int(time.time() * 1000)
        for line in lines:
            # An empty event is refused; one that is too long is cut into several.
            encoded = line.rstrip("\r").encode() or b" "
            for place in range(0, len(encoded), _EVENT_BYTES):
                self._events.append((moment, encoded[place : place + _EVENT_BYTES]))

    async def _flush_again_and_again(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            await asyncio.shield(self._flush())

    async def _flush(self) -> None:
        async with self._sending:  # events must not overtake each other
            while self._events:
                await self._send(self._batch())

    def _batch(self) -> list[dict[str, Any]]:
        """As many events as one call takes."""
        batch: list[dict[str, Any]] = []
        size = 0
        while self._events and len(batch) < _BATCH_EVENTS and size < _BATCH_BYTES:
            moment, encoded = self._events.popleft()
            size += len(encoded)
            batch.append({"timestamp": moment, "message": encoded.decode(errors="replace")})
        return batch

    async def _send(self, batch: list[dict[str, Any]]) -> None:
        try:
            await asyncio.to_thread(self._aws.client("logs").put_log_events, **self._place, logEvents=batch)
        except (BotoCoreError, ClientError) as error:
            # As with AWS's driver in its default mode, the container goes on, and its output is lost.
            print(f"Output of {self._place['logStreamName']} is lost: {error}", file=sys.stderr)
