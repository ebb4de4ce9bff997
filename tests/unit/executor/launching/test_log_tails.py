"""The thread that reads the ends of failed containers' logs: what it waits for, and what it never does."""

from __future__ import annotations

import threading

import pytest
from airflow_ecs_executor.aws.container_logs import Line, NoContainerLog, Stream
from airflow_ecs_executor.launching.log_tails import LogTails

SOON = (0.0, 0.0, 0.0)


class Refused(Exception):
    def __init__(self, code, message):
        self.response = {"Error": {"Code": code, "Message": message}}


DENIED = Refused("AccessDeniedException", "User: x is not authorized to perform: logs:GetLogEvents on resource: y")
NO_STREAM = Refused("ResourceNotFoundException", "The specified log stream does not exist.")


class Logs:
    """CloudWatch, as far as it is asked: what each look at a log finds, the last one again and again."""

    def __init__(self, *looks):
        self.looks = list(looks)
        self.looked = threading.Semaphore(0)

    def stream(self, arn, definition):
        return Stream("us-east-1", "/airflow", arn)

    def tail(self, stream, count):
        found = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        self.looked.release()
        if isinstance(found, Exception):
            raise found
        return [Line(0, text) for text in found]


class Receiver:
    """Somebody who wants the ends of logs, and keeps the last line of each."""

    def __init__(self, logs, lines=20, delays=SOON):
        self.texts = []
        self.defects = []
        self.received = threading.Semaphore(0)
        self.tails = LogTails(logs, lines, self.receive, delays)

    def receive(self, subject, text):
        if self.defects:
            raise self.defects.pop()
        self.texts.append((subject, text.splitlines()[-1].split("] ")[-1]))
        self.received.release()

    def wait(self, count=1):
        for _ in range(count):
            assert self.received.acquire(timeout=10)
        return self.texts


def test_what_was_logged_last_is_delivered_to_who_wanted_it():
    receiver = Receiver(Logs(["a", "b"]))
    receiver.tails.want("me", "arn", "worker:1")
    assert receiver.wait() == [("me", "b")]
    receiver.tails.leave(5)


@pytest.mark.parametrize("found", [[], NO_STREAM])
def test_a_log_that_is_empty_is_read_again(found):
    receiver = Receiver(Logs(found, found, ["late"]))
    receiver.tails.want("me", "arn", "worker:1")
    assert receiver.wait() == [("me", "late")]
    receiver.tails.leave(5)


def test_a_container_that_logged_nothing_is_given_up_and_the_next_one_is_read():
    logs = Logs([], [], [], ["x"])
    receiver = Receiver(logs)
    receiver.tails.want("first", "arn", "worker:1")
    for _ in SOON:
        assert logs.looked.acquire(timeout=10)
    receiver.tails.want("second", "arn", "worker:1")
    assert receiver.wait() == [("second", "x")]
    receiver.tails.leave(5)


def test_a_container_without_awslogs_is_passed_over_at_once():
    receiver = Receiver(Logs(NoContainerLog("no driver"), ["x"]))
    receiver.tails.want("first", "arn", "worker:1")
    receiver.tails.want("second", "arn", "worker:1")
    assert receiver.wait() == [("second", "x")]
    receiver.tails.leave(5)


def test_a_defect_does_not_end_the_thread(caplog):
    receiver = Receiver(Logs(["x"]))
    receiver.defects = [RuntimeError("ours")]
    receiver.tails.want("first", "arn", "worker:1")
    receiver.tails.want("second", "arn", "worker:1")
    assert receiver.wait() == [("second", "x")]
    receiver.tails.leave(5)


def test_no_thread_starts_before_something_failed_nor_with_zero_lines():
    logs = Logs(["x"])
    off = Receiver(logs, lines=0)
    off.tails.want("me", "arn", "worker:1")
    Receiver(logs).tails.leave(5)
    assert "airflow-ecs-log-tails" not in {thread.name for thread in threading.enumerate()}


def test_a_denied_call_is_the_last_one_and_said_once(caplog):
    logs = Logs(DENIED)
    receiver = Receiver(logs)
    receiver.tails.want("first", "arn", "worker:1")
    assert logs.looked.acquire(timeout=10)
    receiver.tails.leave(5)
    receiver.tails.want("second", "arn", "worker:1")
    assert not logs.looked.acquire(timeout=0.2)
    assert caplog.text.count("logs:GetLogEvents is not permitted") == 1


def test_more_failures_than_can_be_told_are_dropped_with_one_warning(caplog):
    receiver = Receiver(Logs(["x"]), delays=(60.0,))
    for number in range(200):
        receiver.tails.want(number, "arn", "worker:1")
    assert not caplog.text
    for number in range(5):
        receiver.tails.want(number, "arn", "worker:1")
    assert caplog.text.count("the logs of some of them are not read") == 1
    receiver.tails.leave(5)
