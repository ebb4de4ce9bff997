"""The benchmarks: each drives every executor against an ECS API with the same faults, latency and options."""

from __future__ import annotations

import json
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from local.ecs.control import EcsApi
from local.ecs.quotas import FARGATE_QUOTAS
from tests.bench.driven import Contender, Drive, Driven
from tests.bench.report import Figure, percentile

LATENCY = 0.1
"""Seconds that every call of the API takes longer."""
HEARTBEAT = 0.05
"""The longest heartbeat of ours."""
FAST = {"run_task_rate": "5000", "run_task_burst": "5000"}
"""Launch options for an account whose quota was raised."""
_DESCRIBE_RATE = 5
"""The default of describe_tasks_rate."""
_NONE: Mapping[str, Any] = {"unit": "", "at_most": 0, "correctness": True}
"""What a row counts must not happen."""
Result = TypeVar("Result")


@dataclass(frozen=True)
class Sizes:
    """How many tasks; and how long to follow, in seconds."""

    launch: int = 1000
    quota: int = 500
    lost: int = 1000
    lost_in_a_row: int = 100
    lost_seconds: float = 5.0
    follow: int = 5000
    follow_seconds: float = 60.0
    finish: int = 100
    adopt: int = 1000


QUICK = Sizes(
    launch=100,
    quota=60,
    lost=60,
    lost_in_a_row=20,
    lost_seconds=1.0,
    follow=150,
    follow_seconds=1.0,
    finish=10,
    adopt=120,
)


@dataclass(frozen=True)
class Bench:
    """What a benchmark is given."""

    ours: Contender
    reference: Contender | None
    """None: measure ours alone."""
    sizes: Sizes
    say: Callable[[str], None]
    versions: dict[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def contenders(self) -> Sequence[Contender]:
        """Who is measured."""
        return [self.ours] if self.reference is None else [self.ours, self.reference]

    @contextmanager
    def driven(self, contender: Contender, ecs: EcsApi, tasks: int, **options: str) -> Iterator[Driven]:
        """A process with an executor that has slots for twice as many tasks."""
        with Driven(contender, ecs.url, 2 * tasks, **options) as driver:
            self.versions[contender.name] = driver.versions
            yield driver

    def of(self, results: Mapping[str, float]) -> tuple[float, float | None]:
        """Ours and the reference's."""
        return results[self.ours.name], results.get(self.reference.name) if self.reference is not None else None

    def figure(self, benchmark: str, what: str, results: Mapping[str, float], **details: object) -> Figure:
        """A row of the table, from a result of each executor."""
        ours, reference = self.of(results)
        return Figure(benchmark, what, ours, reference, **details)  # type: ignore[arg-type]

    def rows(self, benchmark: str, found: Mapping[str, Result]) -> Callable[..., Figure]:
        """A function that makes rows: of what was found of each executor, it takes one figure."""

        def row(what: str, of: Callable[[Result], float], **details: object) -> Figure:
            return self.figure(benchmark, what, {name: of(one) for name, one in found.items()}, **details)

        return row


def _latency(ecs: EcsApi) -> None:
    ecs.fault("*", "latency", seconds=LATENCY)


def _heartbeats(row: Callable[..., Figure]) -> list[Figure]:
    """The rows of the heartbeats of drives."""
    return [
        row("longest heartbeat", lambda drive: max(drive.beats), at_most=HEARTBEAT),
        row("p99 of heartbeats", lambda drive: percentile(drive.beats, 0.99), at_most=HEARTBEAT),
    ]


def launch(bench: Bench) -> list[Figure]:
    """Many tasks queued at once, no quota."""
    count = bench.sizes.launch
    drives: dict[str, Drive] = {}
    for contender in bench.contenders:
        bench.say(f"launch: {contender.name}, {count} tasks")
        with EcsApi() as ecs:
            ecs.configure(run_seconds=None)
            _latency(ecs)
            with bench.driven(contender, ecs, count, **FAST) as driver:
                drives[contender.name] = driver.drive(count=count, until="launched", timeout=600)
    row = bench.rows(f"{count:,} launches queued at once", drives)
    return [
        *_heartbeats(row),
        row("all launched within", lambda drive: drive.launched_within, at_most=12),
        row("launches a second", _launches_a_second, unit="/s", more_is_better=True),
        row("tasks without a container", lambda drive: count - len(drive.launches()), **_NONE),
    ]


def _launches_a_second(drive: Drive) -> float:
    return len(drive.launches()) / drive.launched_within


def quota(bench: Bench) -> list[Figure]:
    """Under AWS's quota of launches, with the options' defaults."""
    count = bench.sizes.quota
    rate, burst = FARGATE_QUOTAS["run_task_rate"], FARGATE_QUOTAS["run_task_burst"]
    ideal = (count - burst) / rate
    drives: dict[str, Drive] = {}
    throttled: dict[str, float] = {}
    for contender in bench.contenders:
        bench.say(f"quota: {contender.name}, {count} tasks")
        with EcsApi() as ecs:
            ecs.configure(run_seconds=None, **FARGATE_QUOTAS)
            _latency(ecs)
            with bench.driven(contender, ecs, count) as driver:
                drives[contender.name] = driver.drive(count=count, until="launched", timeout=600)
            throttled[contender.name] = ecs.calls()["RunTask"]["throttled"]
    title = f"{count:,} tasks under a quota of {burst:g} calls at once, {rate:g} a second"
    row = bench.rows(title, drives)
    return [
        row("share of what the quota allows", lambda drive: 100 * ideal / drive.launched_within, unit="%", at_least=95),
        row("all launched within", lambda drive: drive.launched_within),
        row("failed or not launched", lambda drive: count - len(drive.launches()), **_NONE),
        bench.figure(title, "throttled calls", throttled, unit=""),
        *_heartbeats(row),
        *_shared_quota(bench),
    ]


def _shared_quota(bench: Bench) -> list[Figure]:
    """Two of our executors in processes of their own, each of which takes the whole quota for its own."""
    count = bench.sizes.quota
    bench.say(f"quota: two of ours at once, {count} tasks each")
    with EcsApi() as ecs:
        ecs.configure(run_seconds=None, **FARGATE_QUOTAS)
        _latency(ecs)
        with (
            bench.driven(bench.ours, ecs, count, deployment="one") as first,
            bench.driven(bench.ours, ecs, count, deployment="two") as second,
        ):
            for driver in (first, second):
                driver.send("drive", count=count, until="launched", timeout=600)
            one, two = first.driven(), second.driven()
        throttled = ecs.calls()["RunTask"]["throttled"]
    began = min(one.started, two.started)
    times = [sorted(at - began for _, at in drive.launches().values()) for drive in (one, two)]
    both = sorted(times[0] + times[1])
    # While both have something to launch; then what is left over belongs to the slower one alone.
    contested = min(times[0][-1], times[1][-1]) if all(times) else math.nan
    shares = [sum(at <= contested for at in part) for part in times]
    used = 100 * sum(shares) / (FARGATE_QUOTAS["run_task_burst"] + FARGATE_QUOTAS["run_task_rate"] * contested)
    title = f"Two executors at once under that quota, {count:,} tasks each"
    return [
        Figure(title, "share of what the quota allows, together, while both had work", used, unit="%"),
        Figure(title, "smaller share while both had work", 100 * min(shares) / sum(shares), unit="%"),
        Figure(title, "all launched within", both[-1]),
        Figure(title, "failed or not launched", 2 * count - len(both), unit="", at_most=0, correctness=True),
        Figure(title, "throttled calls", throttled, unit=""),
    ]


def lost(bench: Bench) -> list[Figure]:
    """Answers of RunTask are lost, after the container has been started: now and then, and all of them for a while."""
    count, few = bench.sizes.lost, bench.sizes.lost_in_a_row
    row = few // 5
    return [
        *_lost(bench, f"10 % of RunTask answers lost, {count:,} tasks", count, probability=0.1),
        *_lost(bench, f"{row} RunTask answers lost in a row, {few:,} tasks", few, after=row, times=row),
    ]


def _lost(bench: Bench, title: str, count: int, **fault: float) -> list[Figure]:
    duplicates: dict[str, float] = {}
    unfinished: dict[str, float] = {}
    failed: dict[str, float] = {}
    answers: dict[str, float] = {}
    for contender in bench.contenders:
        bench.say(f"lost: {contender.name}, {title}")
        with EcsApi() as ecs:
            ecs.configure(run_seconds=bench.sizes.lost_seconds, seed=1)
            _latency(ecs)
            ecs.fault("RunTask", "lost_answer", **fault)
            with bench.driven(contender, ecs, count, **FAST) as driver:
                drive = driver.drive(count=count, until="ended", timeout=600)
            containers = Counter(_number(task["command"]) for task in ecs.tasks(["command"]))
            answers[contender.name] = ecs.calls()["RunTask"]["errors"]
        duplicates[contender.name] = sum(number - 1 for number in containers.values())
        failed[contender.name] = len(drive.ends("failed"))
        unfinished[contender.name] = count - len(drive.ends("success")) - len(drive.ends("failed"))
    return [
        bench.figure(title, "second containers", duplicates, **_NONE),
        bench.figure(title, "failed tasks", failed, **_NONE),
        bench.figure(title, "tasks without an end", unfinished, **_NONE),
        bench.figure(title, "lost answers", answers, unit=""),
    ]


def _number(command: Sequence[str]) -> int:
    """Which task instance a container runs."""
    index: int = json.loads(command[-1])["ti"]["map_index"]
    return index


@dataclass(frozen=True)
class _Followed:
    """What following showed of one executor."""

    drive: Drive
    launching: Drive
    noticed: Sequence[float]
    """Seconds until the scheduler knew of an end, for each finished task; those it never heard of are left out."""
    missed: int
    calls: float
    """DescribeTasks a second."""
    kilobytes: float


def follow(bench: Bench) -> list[Figure]:
    """Many running tasks, of which some end."""
    sizes = bench.sizes
    found = {contender.name: _follow(bench, contender) for contender in bench.contenders}
    drives = {name: followed.drive for name, followed in found.items()}
    title = f"{sizes.follow:,} running tasks"
    # describe_tasks_rate, and a second's worth at once after a pause.
    budget = _DESCRIBE_RATE * (1 + 1 / drives[bench.ours.name].seconds)

    row = bench.rows(title, found)
    return [
        *_heartbeats(bench.rows(title, drives)),
        row("p99 of heartbeats while they were launched", lambda one: percentile(one.launching.beats, 0.99)),
        row("longest heartbeat while they were launched", lambda one: max(one.launching.beats)),
        row("DescribeTasks calls a second", lambda one: one.calls, unit="/s", at_most=budget),
        row("an end is noticed, median", lambda one: percentile(one.noticed, 0.5), at_most=10),
        row("an end is noticed, worst", lambda one: max(one.noticed, default=math.nan), at_most=30),
        row("ends not noticed", lambda one: one.missed, **_NONE),
        row("memory a task", lambda one: one.kilobytes, unit="kB", at_most=10),
        row("CPU of one core", lambda one: 100 * one.drive.cpu / one.drive.seconds, unit="%"),
    ]


def _follow(bench: Bench, contender: Contender) -> _Followed:
    sizes = bench.sizes
    warm = sizes.follow // 25
    bench.say(f"follow: {contender.name}, {sizes.follow} tasks")
    with EcsApi() as ecs:
        ecs.configure(run_seconds=None)
        with bench.driven(contender, ecs, sizes.follow, **FAST) as driver:
            # The first launches fill the pools of threads, connections and memory; they are no tasks' memory.
            warming = driver.drive(first=0, count=warm, until="launched", timeout=120)
            before = driver.call("memory")["bytes"]
            launching = driver.drive(first=warm, count=sizes.follow - warm, until="launched", timeout=900)
            kilobytes = (driver.call("memory")["bytes"] - before) / (sizes.follow - warm) / 1000
            arns = {number: arn for drive in (warming, launching) for number, (arn, _) in drive.launches().items()}
            _latency(ecs)
            driver.drive(timeout=min(12.0, sizes.follow_seconds), pause=0.1)  # until following runs evenly
            chance = random.Random(7)
            chosen = chance.sample(sorted(arns), sizes.finish)
            moments = sorted(chance.uniform(0, sizes.follow_seconds) for _ in chosen)
            driver.send("drive", ends=sizes.finish, pause=0.1, timeout=sizes.follow_seconds + 60)
            began = time.time()
            finished: dict[int, float] = {}
            for number, moment in zip(chosen, moments, strict=True):
                time.sleep(max(0.0, began + moment - time.time()))
                ecs.finish(arns[number])
                finished[number] = time.time()
            drive = driver.driven()
        times = [at for at in ecs.calls(times=True)["DescribeTasks"]["times"] if began <= at <= began + drive.seconds]
    heard = {**drive.ends("success"), **drive.ends("failed")}
    noticed = [heard[number] - at for number, at in finished.items() if number in heard]
    return _Followed(drive, launching, noticed, len(finished) - len(noticed), len(times) / drive.seconds, kilobytes)


def adopt(bench: Bench) -> list[Figure]:
    """A scheduler is killed, and another one takes over its running tasks."""
    count = bench.sizes.adopt
    seconds: dict[str, float] = {}
    refused: dict[str, float] = {}
    search: dict[str, float] = {}
    unsaved: dict[str, float] = {}
    for contender in bench.contenders:
        bench.say(f"adopt: {contender.name}, {count} tasks")
        with EcsApi() as ecs:
            ecs.configure(run_seconds=None)
            with bench.driven(contender, ecs, count, **FAST) as driver:
                queued = time.time()
                launches = driver.drive(count=count, until="launched", timeout=300).launches()
            _latency(ecs)
            with bench.driven(contender, ecs, count, **FAST) as driver:
                tasks = [(number, arn) for number, (arn, _) in launches.items()]
                answer = driver.call("adopt", tasks=tasks, queued=queued)
            seconds[contender.name], refused[contender.name] = answer["seconds"], answer["refused"]
            with bench.driven(contender, ecs, count, **FAST) as driver:
                answer = driver.call("adopt", tasks=[(number, None) for number in launches], queued=queued)
            search[contender.name], unsaved[contender.name] = answer["seconds"], answer["refused"]
    title = f"Adopting {count:,} tasks"
    return [
        bench.figure(title, "time", seconds, at_most=5),
        bench.figure(title, "running tasks given back", refused, **_NONE),
        Figure(title, "time, when no ARN was saved", bench.of(search)[0], at_most=5),
        bench.figure(title, "running tasks given back, when no ARN was saved", unsaved, **_NONE),
    ]


SCENARIOS: Mapping[str, Callable[[Bench], list[Figure]]] = {
    "launch": launch,
    "quota": quota,
    "lost": lost,
    "follow": follow,
    "adopt": adopt,
}
