"""Many objects at once: in threads, and from some hundreds on in more than one process."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from airflow_ecs_entrypoint.errors import AccessError, DagsError
from airflow_ecs_entrypoint.starting.airflow_start import living_children
from airflow_ecs_entrypoint.sync import download as download_module
from airflow_ecs_entrypoint.sync.download import processes_for
from airflow_ecs_entrypoint.sync.s3 import parse_time

from local.fakes.s3 import MODIFIED, Fault
from tests.unit.entrypoint.container import staging, tree, wait_until


@pytest.fixture(autouse=True)
def two_processes(monkeypatch):
    """As for a thousand objects on two cores, but for twelve."""
    monkeypatch.setattr(download_module, "_WORTH_A_PROCESS", 5)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)


@pytest.fixture
def objects(s3):
    s3.buckets["bucket"] = {f"dags/{number:02}.py": f"# {number}".encode() for number in range(12)}
    return {key[len("dags/") :]: body for key, body in s3.buckets["bucket"].items()}


@pytest.mark.parametrize(
    "jobs, concurrency, cores, expected",
    [(4, 32, 2, 1), (9, 32, 2, 1), (10, 32, 2, 2), (1000, 32, 1, 1), (1000, 1, 8, 1), (1000, 32, 8, 4), (0, 32, 2, 1)],
)
def test_more_processes_where_they_are_worth_it(monkeypatch, jobs, concurrency, cores, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert processes_for(jobs, concurrency) == expected


def test_all_of_them_together_do_every_job_once(s3, sync, dags, objects, monkeypatch, children):
    forks = []
    fork = os.fork
    monkeypatch.setattr(os, "fork", lambda: forks.append(1) or fork())
    (synced,) = sync()
    assert tree(dags) == objects
    assert synced.fetched == 12
    assert all(s3.requests[f"dags/{path}"] == 1 for path in objects)
    assert len(forks) == 1 and not children()
    s3.requests.clear()
    sync()
    assert set(s3.requests) == {""}, "the digests of every process are in the manifest"


def test_together_they_keep_to_the_concurrency(s3, sync, objects):
    s3.faults = [Fault(None, "delay", seconds=0.1)]
    sync(DAGS_CONCURRENCY="4")
    assert 2 < s3.most_running <= 4


@pytest.mark.parametrize("key", ["dags/00.py", "dags/01.py"], ids=["own share", "the other's share"])
def test_a_fault_in_any_of_them_ends_all(s3, sync, dags, objects, key, children):
    s3.faults = [Fault(key, "error", code="AccessDenied", status=403)]
    with pytest.raises(AccessError, match=f"allow s3:GetObject on arn:aws:s3:::bucket/{key} "):
        sync()
    assert tree(dags) == {} and staging(dags) == []
    assert not children()


def test_an_object_that_changes_meanwhile_is_told_apart_in_any_of_them(s3, sync, dags, objects):
    s3.faults = [Fault("dags/01.py", "replace", 1, body=b"# 9")]
    sync()
    assert tree(dags)["01.py"] == b"# 9"
    assert s3.requests[""] == 2


def test_a_helper_that_dies_points_at_the_memory(s3, sync, objects, monkeypatch, children):
    start = download_module.Child.start

    def start_and_die(child):
        start(child)
        threading.Timer(0.3, os.kill, (child.pid, 9)).start()

    monkeypatch.setattr(download_module.Child, "start", start_and_die)
    s3.faults = [Fault("dags/01.py", "delay", seconds=2)]
    with pytest.raises(DagsError, match="ended by SIGKILL: give the task more memory"):
        sync()
    assert not children()


def test_stopping_the_sync_stops_its_helpers(s3, objects, dags, sync_process, children):
    s3.faults = [Fault(None, "hang")]
    one = sync_process()
    wait_until(lambda: sum(s3.requests.values()) >= 1 + len(objects))
    (process,) = children()
    (helper,) = living_children(process)
    one.stop()
    assert staging(dags) == []
    wait_until(lambda: not Path(f"/proc/{helper}").exists())  # until init has reaped it


@pytest.mark.parametrize(
    "text",
    [
        *("2024-05-06T07:08:09.000Z", "2024-05-06T07:08:09Z", "Mon, 06 May 2024 07:08:09 GMT"),
        *("2024-05-06T09:08:09+02:00", "1714979289"),  # as other servers may write them
    ],
)
def test_times_as_s3_writes_them(text):
    assert parse_time(text) == MODIFIED


def test_another_time_is_refused():
    with pytest.raises(ValueError):
        parse_time("yesterday")
