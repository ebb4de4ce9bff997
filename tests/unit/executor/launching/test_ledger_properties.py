"""Random schedules of faults, quotas, interruptions, lost hosts, requeues, revocations and restarts, on a model of ECS.

Whatever happens: no task instance has two containers at once, every queued run ends in exactly one of success or
failure, and in the end nothing is left. What can be waited for fails no task.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Any, Sequence

from airflow_ecs_executor.airflow_side import QueuedWorkload
from airflow_ecs_executor.aws.ecs import DESCRIBE_LIMIT
from airflow_ecs_executor.aws.errors import ApiError, ErrorKind, NotStarted
from airflow_ecs_executor.aws.identity import new_client_token
from airflow_ecs_executor.aws.task_outcome import Outcome, OutcomeKind
from airflow_ecs_executor.launching.launch import EventKind, FrozenRequest, Launch
from airflow_ecs_executor.launching.ledger import Ledger
from airflow_ecs_executor.launching.policy import Policy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

STEP = 0.5
KINDS = [
    ErrorKind.THROTTLED,
    ErrorKind.CREDENTIALS,
    ErrorKind.TAGGING_DENIED,
    ErrorKind.CAPACITY,
    ErrorKind.PERMANENT,
]


@dataclass
class Container:
    """A task of ECS."""

    arn: str
    key: str
    created: float
    ending: OutcomeKind
    ends_at: float
    visible_from: float
    ended: bool = False
    lost: bool = False
    """Its host is gone: ECS says RUNNING for ever."""


@dataclass
class World:
    """A model of ECS: client tokens, containers that run and end, answers that get lost, late consistency."""

    dice: random.Random
    chaos: float
    searchable: bool = True
    """Whether ListTasks is permitted."""
    room: int = 1000
    """How many containers may live at once."""
    endings: tuple[OutcomeKind, ...] = (*[OutcomeKind.SUCCEEDED] * 6, *OutcomeKind)
    now: float = 1000.0
    containers: dict[str, Container] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    def run_task(self, launch: Launch) -> str:
        token = token_of(launch)
        if token in self.tokens:
            return self.tokens[token]
        living = [item for item in self.containers.values() if item.key == launch.key and not item.ended]
        assert not living, f"{launch.key} has two containers at once"
        arn = f"arn-{len(self.containers)}"
        self.containers[arn] = Container(
            arn,
            launch.key,
            self.now,
            self.dice.choice(self.endings),
            self.now + self.dice.uniform(0, 20),
            self.now + (self.dice.uniform(0, 5) if self.dice.random() < self.chaos else 0),
        )
        self.tokens[token] = arn
        return arn

    @property
    def is_full(self) -> bool:
        return sum(not item.ended for item in self.containers.values()) >= self.room

    def pass_time(self) -> None:
        self.now += STEP
        for container in self.containers.values():
            if not container.ended and not container.lost and self.now >= container.ends_at:
                container.ended = True


def token_of(launch: Launch) -> str:
    assert launch.request is not None
    return launch.request.client_token


class Scheduler:
    """A scheduler with its ledger, and the workers' work done step by step."""

    def __init__(self, world: World, policy: Policy, kinds: Sequence[ErrorKind] = tuple(KINDS)) -> None:
        self.world = world
        self.kinds = kinds
        self.policy = policy
        self.ledger = Ledger(policy)
        self.ledger.lock.acquire()
        self.expected: dict[str, int] = {}
        """Runs that nobody has reported yet, by task instance: never more than one."""
        self.results: dict[str, list[str]] = {}
        self.sending: list[Launch] = []

    # The scheduler's part

    def submit(self, key: str) -> None:
        self.ledger.submit([QueuedWorkload(key, ["run", key], None)], self.world.now)
        self.expected[key] = 1

    def revoke(self, key: str) -> None:
        self.ledger.revoke(key, "too long", self.world.now)
        self.expected[key] = 0

    def let_go(self, key: str) -> None:
        self.ledger.let_go(key, "no heartbeat", self.world.now)
        self.expected[key] = 0

    def read(self) -> None:
        while self.ledger.events:
            event = self.ledger.events.popleft()
            if not event.launch.awaited or event.kind not in (EventKind.SUCCEEDED, EventKind.FAILED):
                continue
            key = str(event.launch.key)
            assert self.expected.get(key) == 1, f"{key} was reported though nobody waits: {event.kind}"
            self.expected[key] = 0
            self.results.setdefault(key, []).append(event.kind.name.lower())

    # The workers's part

    def work(self) -> None:
        world, ledger = self.world, self.ledger
        for _ in range(world.dice.randint(1, 5)):
            launch = ledger.next_launch(world.now)
            if launch is None:
                break
            if launch.request is None:
                launch.request = FrozenRequest({}, new_client_token(), world.now)
            self.sending.append(launch)
        world.dice.shuffle(self.sending)
        for _ in range(world.dice.randint(0, len(self.sending))):
            self.answer(self.sending.pop())
        self.look()
        self.locate()
        self.stop()

    def answer(self, launch: Launch) -> None:
        world, ledger = self.world, self.ledger
        fault = world.dice.random() < world.chaos
        kind = world.dice.choice(["lost answer", "lost request", "server", "failures", "rejected"]) if fault else "fine"
        token = token_of(launch)
        if world.is_full and token not in world.tokens and kind in ("fine", "lost answer", "server"):
            kind = "full"
        arn = world.run_task(launch) if kind in ("fine", "lost answer") else ""
        if kind == "server" and world.dice.random() < 0.5:
            world.run_task(launch)
        if kind == "fine":
            ledger.launched(launch, arn, world.now)
        elif kind in ("lost answer", "lost request"):
            ledger.rejected(launch, ApiError(ErrorKind.OUTCOME_UNKNOWN, "lost"), world.now)
        elif kind == "server":
            ledger.rejected(launch, ApiError(ErrorKind.SERVER, "broken"), world.now)
        elif kind == "full":
            ledger.rejected(launch, ApiError(ErrorKind.CAPACITY, "no room"), world.now)
        elif kind == "failures":
            ledger.not_placed(launch, NotStarted("because", self._temporary), world.now)
        else:
            ledger.rejected(launch, ApiError(world.dice.choice(self.kinds), "because"), world.now)

    @property
    def _temporary(self) -> bool:
        return ErrorKind.PERMANENT not in self.kinds or self.world.dice.random() < 0.5

    def look(self) -> None:
        world, ledger = self.world, self.ledger
        batch, _ = ledger.next_batch(world.now)
        assert len(batch) <= DESCRIBE_LIMIT and len(set(batch)) == len(batch)
        if world.dice.random() < world.chaos:
            return  # throttled, or no answer
        for arn in batch:
            container = world.containers[arn]
            if world.now < container.visible_from:
                ledger.missing(arn, world.now)
            elif container.ended:
                relaunch = world.dice.random() < 0.8
                end = Outcome(container.ending, "because", temporary=self._temporary)
                ledger.ended(arn, end, world.now, relaunch or ErrorKind.PERMANENT not in self.kinds)
            else:
                ledger.seen(arn, world.now)

    def locate(self) -> None:
        world, ledger = self.world, self.ledger
        for launch in ledger.to_locate(world.now):
            if world.dice.random() < world.chaos:
                ledger.locate_later(launch, world.now)
                continue
            if not world.searchable:
                ledger.cannot_locate(launch, world.now)
                continue
            found = [
                item
                for item in world.containers.values()
                if item.key == launch.key and (launch.created_after is None or item.created >= launch.created_after)
            ]
            followed = [item.arn for item in found if ledger.launch_of(item.arn) is None]
            ledger.located(launch, followed[-1] if followed else None, world.now)

    def stop(self) -> None:
        world, ledger = self.world, self.ledger
        while True:
            stop = ledger.next_stop(world.now)
            if stop is None:
                return
            if world.dice.random() < world.chaos:
                ledger.stop_failed(stop, world.now)
                continue
            ledger.stopped(stop.arn, world.now)
            container = world.containers[stop.arn]
            container.ends_at = min(container.ends_at, world.now + world.dice.uniform(0, 3))


def lose_hosts(world: World, key: str) -> None:
    """Take away the hosts of a task instance's containers, of which ECS hears nothing."""
    for container in world.containers.values():
        container.lost |= container.key == key and not container.ended


POLICY = Policy(
    max_attempts=3,
    max_relaunches=2,
    missing_grace=30.0,
    poll_interval=1.0,
    backoff_base=2.0,
    backoff_cap=10.0,
    unanswered_base=0.5,
    unanswered_cap=4.0,
    throttled_cap=4.0,
    stop_grace=20.0,
    room_base=1.0,
    room_cap=8.0,
    locate_delay=8.0,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**32), chaos=st.sampled_from([0.0, 0.1, 0.5]), revocations=st.booleans(),
    searchable=st.booleans(),
)  # fmt: skip
def test_every_run_ends_once_and_no_task_instance_has_two_containers(
    seed: int, chaos: float, revocations: bool, searchable: bool
) -> None:
    world = World(random.Random(seed), chaos, searchable)
    # Whoever may not search cannot know of a container whose launch has failed for good.
    kinds = [kind for kind in KINDS if searchable or kind is not ErrorKind.PERMANENT]
    scheduler = Scheduler(world, POLICY, kinds)
    keys = [f"task-{number}" for number in range(12)]
    runs: dict[str, int] = dict.fromkeys(keys, 0)
    revoked: set[str] = set()
    let_go: set[str] = set()
    for step in range(240):
        if step < 120:
            for key in keys:
                idle = not scheduler.expected.get(key)
                if key in let_go:
                    continue  # Airflow's next try has another key
                # Queued for the first time; deferred and queued again; retried after a revocation.
                if idle and runs[key] < 3 and world.dice.random() < 0.2:
                    scheduler.submit(key)
                    runs[key] += 1
                elif revocations and not idle and world.dice.random() < 0.02:
                    if world.dice.random() < 0.1:
                        lose_hosts(world, key)
                        let_go.add(key)
                    scheduler.revoke(key)
                    revoked.add(key)
                elif revocations and not idle and world.dice.random() < 0.01:
                    lose_hosts(world, key)
                    scheduler.let_go(key)
                    let_go.add(key)
        if step == 160:
            world.chaos = 0.0  # faults end some day
        scheduler.work()
        scheduler.read()
        world.pass_time()
    for _ in range(600):
        scheduler.work()
        scheduler.read()
        world.pass_time()
    assert not any(scheduler.expected.values()), "a run was never reported"
    for key in keys:
        if key not in revoked | let_go:
            assert len(scheduler.results.get(key, [])) == runs[key]
    ledger = scheduler.ledger
    assert (ledger.pending, ledger.running, ledger.in_flight, ledger.stops_outstanding) == (0, 0, 0, 0)
    for key in set(keys) - let_go:
        scheduler.submit(key)
        launch = ledger.next_launch(world.now)
        assert launch is not None and launch.key == key, "nothing is left that it would wait for"
    assert all(container.ended or container.lost for container in world.containers.values())


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), chaos=st.sampled_from([0.0, 0.2, 0.6]), room=st.integers(1, 8))
def test_what_can_be_waited_for_fails_no_task(seed: int, chaos: float, room: int) -> None:
    """Quotas, throttling, server errors, lost answers, no room for a container; and one attempt has to do."""
    endings = (*[OutcomeKind.SUCCEEDED] * 4, OutcomeKind.NEVER_STARTED, OutcomeKind.SPOT, OutcomeKind.INFRASTRUCTURE)
    world = World(random.Random(seed), chaos, room=room, endings=endings)
    policy = replace(POLICY, max_attempts=1, max_relaunches=1000)
    scheduler = Scheduler(world, policy, (ErrorKind.THROTTLED, ErrorKind.CAPACITY, ErrorKind.CREDENTIALS))
    keys = [f"task-{number}" for number in range(20)]
    for key in keys:
        scheduler.submit(key)
    for step in range(6000):
        if step == 400:
            world.chaos, world.endings = 0.0, (OutcomeKind.SUCCEEDED,)
        scheduler.work()
        scheduler.read()
        world.pass_time()
        if not any(scheduler.expected.values()):
            break
    assert {key: ["succeeded"] for key in keys} == scheduler.results


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), chaos=st.sampled_from([0.0, 0.2]))
def test_a_scheduler_that_dies_leaves_no_task_behind_and_none_twice(seed: int, chaos: float) -> None:
    world = World(random.Random(seed), chaos)
    scheduler = Scheduler(world, POLICY)
    keys = [f"task-{number}" for number in range(10)]
    queued_at = {}
    for key in keys:
        scheduler.submit(key)
        queued_at[key] = world.now
    saved: dict[str, str | None] = {}
    for _ in range(world.dice.randint(0, 30)):
        scheduler.work()
        for event in list(scheduler.ledger.events):
            if event.kind is EventKind.LAUNCHED and world.dice.random() < 0.7:
                saved[str(event.launch.key)] = event.info
        scheduler.read()
        world.pass_time()
    # Requests that are under way when it dies may still be carried out.
    for launch in scheduler.sending:
        if world.dice.random() < 0.5:
            world.run_task(launch)
    for _ in range(60):
        world.pass_time()
    successor = Scheduler(world, POLICY)
    successor.results = scheduler.results
    left: list[str] = [key for key, waiting in scheduler.expected.items() if waiting]
    for key in left:
        successor.expected[key] = 1
        known: list[Any] = [item for item in world.containers.values() if item.key == key]
        arn = saved.get(key) or (known[-1].arn if known else None)
        if arn is None:
            successor.submit(key)
            continue
        if world.dice.random() < 0.3:
            successor.ledger.adopt(key, None, world.now, created_after=queued_at[key], launch_if_missing=True)
        else:
            newest = known[-1].arn
            successor.ledger.adopt(key, newest, world.now, created_after=None, launch_if_missing=False)
    world.chaos = 0.0
    for _ in range(800):
        successor.work()
        successor.read()
        world.pass_time()
    assert not any(successor.expected.values())
    assert all(len(successor.results.get(key, [])) == 1 for key in keys)
    assert (successor.ledger.pending, successor.ledger.running, successor.ledger.in_flight) == (0, 0, 0)
