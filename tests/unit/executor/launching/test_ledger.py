"""How a launch goes on, told event by event."""

from __future__ import annotations

from typing import Any

import pytest
from airflow_ecs_executor.airflow_side import QueuedWorkload
from airflow_ecs_executor.aws.errors import ApiError, ErrorKind, NotStarted
from airflow_ecs_executor.aws.identity import new_client_token
from airflow_ecs_executor.aws.task_outcome import Outcome, OutcomeKind
from airflow_ecs_executor.launching.launch import EventKind, FrozenRequest, Launch
from airflow_ecs_executor.launching.ledger import Ledger, StopCall
from airflow_ecs_executor.launching.policy import Policy

NOW = 1000.0
LONG = 10_000.0


class Story:
    """A ledger, and the steps that the workers would take."""

    def __init__(self, **policy: Any) -> None:
        self.ledger = Ledger(Policy(**policy))
        self.ledger.lock.acquire()
        self.now = NOW
        self.arns = 0

    def submit(self, *keys: str) -> None:
        self.ledger.submit([QueuedWorkload(key, ["airflow", key], None) for key in keys], self.now)

    def send(self) -> Launch | None:
        launch = self.ledger.next_launch(self.now)
        if launch is not None and launch.request is None:
            launch.request = FrozenRequest({}, new_client_token(), self.now)
        return launch

    def sent(self, key: str | None = None) -> Launch:
        """Return a launch whose request is being sent."""
        if key is not None:
            self.submit(key)
        launch = self.send()
        assert launch is not None
        return launch

    def launch(self, key: str | None = None) -> str:
        launch = self.sent(key)
        self.arns += 1
        arn = f"arn-{self.arns}"
        self.ledger.launched(launch, arn, self.now)
        return arn

    def reject(self, kind: ErrorKind, **more: Any) -> Launch:
        launch = self.sent()
        self.ledger.rejected(launch, ApiError(kind, "because", **more), self.now)
        return launch

    def end(self, arn: str, ending: OutcomeKind, relaunch: bool = True, **more: bool) -> None:
        self.ledger.ended(arn, Outcome(ending, "because", **more), self.now, relaunch)  # type: ignore[arg-type]

    def discards(self) -> list[str]:
        """Take what is to be removed now."""
        found = []
        for discard in iter(lambda: self.ledger.discards.next(self.now), None):
            found.append(discard.uri)
            self.ledger.discards.removed()
        return found

    def stops(self) -> list[str]:
        return [stop.arn for stop in iter(lambda: self.ledger.next_stop(self.now), None)]

    def revoke(self, key: str) -> None:
        self.ledger.revoke(key, "too long", self.now)

    def let_go(self, key: str) -> None:
        self.ledger.let_go(key, "no heartbeat", self.now)

    def adopt(self, key: str, arn: str | None, launch_if_missing: bool = False) -> bool:
        return self.ledger.adopt(key, arn, self.now, created_after=None, launch_if_missing=launch_if_missing)

    @property
    def told(self) -> list[tuple[str, str]]:
        """What Airflow is told."""
        return [(event.kind.name.lower(), str(event.launch.key)) for event in self.ledger.events if event.is_current]

    def is_empty(self) -> bool:
        """Whether nothing is left, so that the task is launched at once when it is queued again."""
        ledger = self.ledger
        if ledger.pending or ledger.running or ledger.in_flight:
            return False
        self.submit("a")
        return self.send() is not None


@pytest.fixture
def story() -> Story:
    """A story with the default policy."""
    return Story()


# The straight way


def test_a_task_is_launched_followed_and_reported_once(story: Story) -> None:
    arn = story.launch("a")
    assert (story.ledger.pending, story.ledger.running) == (0, 1)
    story.end(arn, OutcomeKind.SUCCEEDED)
    assert story.told == [("launched", "a"), ("succeeded", "a")]
    assert story.is_empty()


def test_tasks_are_launched_in_the_order_in_which_they_were_queued(story: Story) -> None:
    story.submit("a", "b", "c")
    assert [story.send().key for _ in range(3)] == ["a", "b", "c"]  # type: ignore[union-attr]
    assert story.send() is None


def test_the_request_and_the_workload_are_forgotten_when_they_are_not_needed(story: Story) -> None:
    arn = story.launch("a")
    launch = story.ledger.launch_of(arn)
    assert launch is not None and launch.request is None
    story.end(arn, OutcomeKind.FAILED)
    assert launch.workload is None


# RunTask fails


@pytest.mark.parametrize(
    ("error", "same"),
    [
        (ApiError(ErrorKind.OUTCOME_UNKNOWN, "timeout"), True),
        (ApiError(ErrorKind.SERVER, "broken"), True),
        (ApiError(ErrorKind.THROTTLED, "slow down", status=503), True),
        (ApiError(ErrorKind.THROTTLED, "slow down"), False),
        (ApiError(ErrorKind.CREDENTIALS, "expired"), False),
        (ApiError(ErrorKind.CAPACITY, "no room"), False),
        (ApiError(ErrorKind.TAGGING_DENIED, "no tags"), False),
        (ApiError(ErrorKind.REVISION_GONE, "inactive"), False),
    ],
    ids=str,
)
def test_row_10_a_request_is_sent_again_as_it_was_if_it_may_have_started_a_container(
    story: Story, error: ApiError, same: bool
) -> None:
    """Otherwise a new request is sent, because the token of Airflow 3 in the old one expires."""
    launch = story.sent("a")
    request = launch.request
    story.ledger.rejected(launch, error, story.now)
    at_once = error.kind in (ErrorKind.CREDENTIALS, ErrorKind.TAGGING_DENIED, ErrorKind.REVISION_GONE)
    assert (launch.not_before == story.now) is at_once
    story.now += 60
    assert story.send() is launch and launch.attempts == 0
    assert (launch.request is request) is same


def test_a_request_is_not_sent_again_for_longer_than_airflow_s_token_lives() -> None:
    story = Story(resend_limit=300.0)
    story.submit("a")
    launch = story.reject(ErrorKind.OUTCOME_UNKNOWN)
    story.now += 400
    story.reject(ErrorKind.OUTCOME_UNKNOWN)
    story.now += 60
    assert story.send() is None
    assert story.ledger.to_locate(story.now) == [launch]
    story.ledger.located(launch, None, story.now)
    assert story.send() is launch and launch.attempts == 0


def test_without_the_right_to_search_an_unanswered_request_goes_out_again_for_an_hour() -> None:
    story = Story(resend_limit=300.0)
    story.submit("a")
    launch = story.reject(ErrorKind.OUTCOME_UNKNOWN)
    frozen = launch.request
    story.now += 400
    story.reject(ErrorKind.OUTCOME_UNKNOWN)
    story.now += 60
    story.ledger.cannot_locate(launch, story.now)
    story.reject(ErrorKind.CAPACITY)
    story.now += 1800
    assert story.reject(ErrorKind.OUTCOME_UNKNOWN) is launch and launch.request is frozen
    story.now += 3600
    story.reject(ErrorKind.OUTCOME_UNKNOWN)
    assert story.told[-1] == ("failed", "a")


def test_an_attempt_that_failed_is_followed_by_a_longer_pause_each_time() -> None:
    story = Story(max_attempts=3, backoff_base=4.0)
    story.submit("a")
    launch = story.reject(ErrorKind.CONFLICT)
    first = launch.not_before - story.now
    story.now += 10
    story.reject(ErrorKind.CONFLICT)
    second = launch.not_before - story.now
    assert launch.attempts == 2
    assert 2.0 <= first <= 4.0 and 8.0 <= second <= 16.0
    assert story.told == [("attempt_failed", "a"), ("attempt_failed", "a")]


@pytest.mark.parametrize("found", [None, "arn-9"])
def test_before_a_task_fails_the_container_of_an_unanswered_request_is_searched_for(found: str | None) -> None:
    story = Story(wait_limit=0)
    story.submit("a")
    launch = story.reject(ErrorKind.SERVER)
    assert story.told == []
    story.now += 60
    assert story.ledger.to_locate(story.now) == [launch]
    story.ledger.located(launch, found, story.now)
    assert story.told == [("launched" if found else "failed", "a")]


def test_no_new_token_goes_out_while_an_unanswered_request_may_have_started_a_container(story: Story) -> None:
    story.submit("a")
    launch = story.reject(ErrorKind.OUTCOME_UNKNOWN)
    story.now += 60
    story.reject(ErrorKind.CAPACITY)
    story.now += LONG
    assert story.send() is None
    story.ledger.located(launch, None, story.now)
    assert story.send() is launch and launch.attempts == 0


# Waiting


TEMPORARY = [ErrorKind.THROTTLED, ErrorKind.CAPACITY, ErrorKind.SERVER, ErrorKind.OUTCOME_UNKNOWN]


@pytest.mark.parametrize("kind", TEMPORARY)
def test_what_can_be_waited_for_uses_up_no_attempt_and_the_pauses_grow(kind: ErrorKind) -> None:
    story = Story(max_attempts=1, resend_limit=LONG)
    story.submit("a")
    pauses = []
    for _ in range(12):
        launch = story.reject(kind)
        pauses.append(launch.not_before - story.now)
        story.now = launch.not_before
    assert launch.attempts == 0
    assert max(pauses[:2]) < min(pauses[-2:]) <= 60.0
    story.launch()
    assert ("launched", "a") in story.told


@pytest.mark.parametrize("kind", TEMPORARY)
def test_the_event_log_says_that_a_task_waits_then_once_in_a_while(kind: ErrorKind) -> None:
    story = Story(note_delay=10.0, note_interval=300.0, room_cap=1.0, resend_limit=LONG)
    story.submit("a")
    begun, noted = story.now, []
    while story.now < begun + 900:
        launch = story.reject(kind)
        waits = [event for event in story.ledger.events if event.kind is EventKind.WAITING]
        if len(waits) > len(noted):
            noted.append(story.now - begun)
        story.now = launch.not_before
    first, second, third = noted
    assert first <= (0.0 if kind is ErrorKind.CAPACITY else 50.0)
    assert 300 <= second - first < 350 and 300 <= third - second < 350
    assert "no attempt is used up. because" in waits[-1].info


@pytest.mark.parametrize("kind", [ErrorKind.THROTTLED, ErrorKind.CAPACITY])
def test_an_option_limits_the_wait(kind: ErrorKind) -> None:
    story = Story(wait_limit=100.0)
    story.submit("a")
    story.reject(kind)
    story.now += 99
    story.reject(kind)
    assert ("failed", "a") not in story.told
    story.now += 61
    story.reject(kind)
    assert story.told[-1] == ("failed", "a") and "within 100 s" in story.ledger.events[-1].info
    assert story.is_empty()


def test_room_that_another_task_makes_is_tried_at_once_by_those_that_wait_each_in_its_turn(story: Story) -> None:
    arns = [story.launch(key) for key in "xyz"]
    story.submit("b", "c")
    for _ in range(6):
        for _ in "bc":
            story.reject(ErrorKind.CAPACITY)
        story.now += 60
    for _ in "bc":
        story.reject(ErrorKind.CAPACITY)
    assert story.ledger.waiting == 2 and story.send() is None
    woken = []
    for arn in arns:
        story.end(arn, OutcomeKind.SUCCEEDED)
        launch = story.reject(ErrorKind.CAPACITY)
        woken.append(launch.key)
        assert launch.not_before - story.now <= 5.0, "it is tried again soon: ECS gives room back with a delay"
        assert story.send() is None
    assert woken in (["b", "c", "b"], ["c", "b", "c"])


def test_what_was_woken_is_not_launched_again_when_its_former_pause_ends() -> None:
    story = Story(room_base=10.0, backoff_base=100.0)
    arn = story.launch("x")
    story.submit("a")
    story.reject(ErrorKind.CAPACITY)
    story.end(arn, OutcomeKind.SUCCEEDED)
    story.reject(ErrorKind.CONFLICT)
    story.now += 10
    assert story.send() is None


def test_what_waits_for_something_else_by_now_is_not_woken() -> None:
    story = Story(backoff_base=100.0)
    arn = story.launch("x")
    story.submit("a")
    story.reject(ErrorKind.CAPACITY)
    story.now += 60
    story.reject(ErrorKind.CONFLICT)
    assert story.ledger.waiting == 0
    story.end(arn, OutcomeKind.SUCCEEDED)
    assert story.send() is None


@pytest.mark.parametrize("ending", [OutcomeKind.NEVER_STARTED, OutcomeKind.SPOT])
def test_a_container_that_started_ends_the_wait(ending: OutcomeKind) -> None:
    story = Story(wait_limit=100.0)
    story.submit("a")
    story.reject(ErrorKind.THROTTLED)
    story.now += 10
    arn = story.launch()
    story.now += 300
    story.end(arn, ending)
    story.now += 60
    story.reject(ErrorKind.THROTTLED)
    assert ("failed", "a") not in story.told


@pytest.mark.parametrize("kind", [ErrorKind.THROTTLED, ErrorKind.CREDENTIALS])
def test_what_aws_turns_away_after_a_lost_answer_goes_out_as_it_was(story: Story, kind: ErrorKind) -> None:
    story.submit("a")
    launch = story.reject(ErrorKind.OUTCOME_UNKNOWN)
    frozen = launch.request
    story.now += 60
    assert story.reject(kind).request is frozen
    story.now += 60
    assert story.send() is launch


@pytest.mark.parametrize("temporary", [True, False])
def test_of_a_revoked_task_the_event_log_hears_nothing_more(story: Story, temporary: bool) -> None:
    launch = story.sent("a")
    story.revoke("a")
    story.ledger.not_placed(launch, NotStarted("because", temporary), story.now)
    assert story.told == [] and story.is_empty()


def test_a_container_that_found_no_room_waits_as_a_launch_does() -> None:
    story = Story(max_attempts=1)
    story.end(story.launch("a"), OutcomeKind.NEVER_STARTED, temporary=True)
    story.now += 60
    story.end(story.launch(), OutcomeKind.NEVER_STARTED, temporary=True)
    assert ("failed", "a") not in story.told
    story.now += 60
    story.launch()
    assert story.ledger.waiting == 0


def test_a_container_that_found_no_room_has_made_none(story: Story) -> None:
    arn = story.launch("a")
    story.submit("b")
    story.reject(ErrorKind.CAPACITY)
    story.end(arn, OutcomeKind.NEVER_STARTED, temporary=True)
    assert story.send() is None and story.ledger.counters.no_capacity == 2


@pytest.mark.parametrize("kind", [ErrorKind.THROTTLED, ErrorKind.CAPACITY])
def test_a_refused_launch_that_nobody_wants_any_more_makes_way_for_the_next(story: Story, kind: ErrorKind) -> None:
    former = story.sent("a")
    story.submit("a")
    story.ledger.rejected(former, ApiError(kind, "because"), story.now)
    launch = story.send()
    assert launch is not None and launch is not former
    assert story.send() is None


def test_a_refused_launch_is_left_to_the_next_scheduler_when_this_one_ends(story: Story) -> None:
    launch = story.sent("a")
    story.ledger.close()
    story.ledger.rejected(launch, ApiError(ErrorKind.THROTTLED, "because"), story.now)
    assert (story.ledger.pending, story.ledger.in_flight) == (0, 0) and story.told == []


def test_a_revoked_task_waits_no_longer(story: Story) -> None:
    story.submit("a")
    story.reject(ErrorKind.CAPACITY)
    story.revoke("a")
    assert story.ledger.waiting == 0 and story.is_empty()


# What Airflow has ended


def test_a_task_that_airflow_has_ended_is_stopped_and_followed_no_longer(story: Story) -> None:
    arn = story.launch("a")
    story.let_go("a")
    story.revoke("a")
    assert story.stops() == [arn, arn]
    story.ledger.stopped(arn, story.now)
    assert story.ledger.running == 0
    assert story.told == [] and story.is_empty()


def test_a_new_launch_of_the_same_try_still_waits_for_the_container_s_end(story: Story) -> None:
    arn = story.launch("a")
    story.let_go("a")
    story.submit("a")
    assert story.stops() == [arn]
    story.ledger.stopped(arn, story.now)
    assert story.send() is None
    story.end(arn, OutcomeKind.FAILED)
    assert story.send() is not None


def test_a_revoked_container_whose_end_is_never_seen_is_followed_no_longer() -> None:
    """A lost host: ECS has taken the StopTask call, and goes on saying RUNNING."""
    story = Story(stop_grace=300.0)
    arn = story.launch("a")
    story.revoke("a")
    assert story.stops() == [arn]
    story.ledger.stopped(arn, story.now)
    story.now += 299
    story.revoke("a")
    story.ledger.seen(arn, story.now)
    assert story.ledger.running == 1
    story.now += 2
    story.ledger.seen(arn, story.now)
    assert story.ledger.running == 0 and story.told == []


def test_without_the_right_to_search_a_revoked_launch_is_resolved_by_its_request() -> None:
    story = Story(resend_limit=300.0)
    story.submit("a")
    story.reject(ErrorKind.OUTCOME_UNKNOWN)
    story.now += 400
    launch = story.reject(ErrorKind.OUTCOME_UNKNOWN)
    story.revoke("a")
    story.now += 60
    story.ledger.cannot_locate(launch, story.now)
    story.submit("a")
    arn = story.launch()
    assert story.stops() == [arn]
    assert story.send() is None, "the new launch waits for that container's end"
    story.end(arn, OutcomeKind.FAILED)
    assert story.send() is not None


def test_without_the_right_to_search_a_revoked_launch_that_was_given_up_is_resolved_too() -> None:
    story = Story(wait_limit=0)
    story.submit("a")
    launch = story.reject(ErrorKind.SERVER)
    story.revoke("a")
    story.now += 60
    story.ledger.cannot_locate(launch, story.now)
    story.now += 60
    arn = story.launch()
    assert story.stops() == [arn] and story.told == []


def test_three_launches_of_one_task_instance_follow_each_other(story: Story) -> None:
    first = story.launch("a")
    for _ in range(3):
        story.submit("a")
    assert story.send() is None
    story.end(first, OutcomeKind.FAILED)
    second = story.launch()
    story.submit("a")
    assert story.send() is None
    story.end(second, OutcomeKind.SUCCEEDED)
    assert story.send() is not None and story.send() is None


def test_a_task_adopted_beside_its_former_container_is_launched_when_that_one_is_gone(story: Story) -> None:
    former = story.launch("a")
    story.revoke("a")
    story.adopt("a", None, launch_if_missing=True)
    story.now += 60
    (launch,) = story.ledger.to_locate(story.now)
    story.ledger.located(launch, former, story.now)
    assert story.send() is None
    story.end(former, OutcomeKind.FAILED)
    assert story.send() is launch


def test_a_launch_waits_for_the_former_of_one_that_came_to_nothing(story: Story) -> None:
    former = story.launch("a")
    story.revoke("a")
    story.adopt("a", None, launch_if_missing=True)
    story.submit("a")
    story.now += 60
    (between,) = story.ledger.to_locate(story.now)
    story.ledger.located(between, None, story.now)
    assert story.send() is None
    story.end(former, OutcomeKind.FAILED)
    assert story.send() is not None


def test_what_airflow_has_ended_is_let_go_with_all_its_launches(story: Story) -> None:
    arn = story.launch("a")
    story.submit("a")
    story.let_go("a")
    assert story.stops() == [arn]
    story.ledger.stopped(arn, story.now)
    assert story.ledger.running == 0 and story.is_empty()


def test_a_task_whose_container_this_scheduler_stops_is_not_adopted(story: Story) -> None:
    arn = story.launch("a")
    story.revoke("a")
    assert not story.adopt("a", arn)


def test_only_what_airflow_does_not_want_at_two_reviews_is_let_go() -> None:
    story = Story(review_interval=300.0, unwanted_grace=300.0)
    arns = {key: story.launch(key) for key in "abc"}
    assert story.ledger.seconds_to_review(story.now) == 300.0
    for unwanted in ({"a", "b"}, {"b", "c"}):
        story.now += 300
        assert story.ledger.seconds_to_review(story.now) == 0.0
        assert story.ledger.review(story.now) == ["a", "b", "c"]
        story.ledger.reviewed(unwanted, story.now)
    assert story.stops() == [arns["b"]]
    story.ledger.stopped(arns["b"], story.now)
    assert story.ledger.running == 2
    assert story.told[-1] == ("failed", "b"), "else its slot would stay taken"


def test_a_task_that_is_revoked_during_a_review_is_followed_until_its_container_has_stopped() -> None:
    story = Story(review_interval=300.0, unwanted_grace=300.0)
    arn = story.launch("a")
    story.ledger.reviewed({"a"}, story.now)
    story.now += 300
    story.revoke("a")
    story.ledger.reviewed({"a"}, story.now)
    assert story.stops() == [arn]
    story.ledger.stopped(arn, story.now)
    assert story.ledger.running == 1


def test_a_container_may_outlive_its_task_for_as_long_as_airflow_lets_it() -> None:
    story = Story(review_interval=300.0, unwanted_grace=1800.0)
    arn = story.launch("a")
    for _ in range(6):
        story.now += 300
        story.ledger.reviewed({"a"}, story.now)
        assert story.stops() == []
    story.now += 300
    story.ledger.reviewed({"a"}, story.now)
    assert story.stops() == [arn]


@pytest.mark.parametrize("waits", [True, False])
def test_a_launch_that_is_not_wanted_any_more_frees_its_slot(story: Story, waits: bool) -> None:
    launch = story.sent("a")
    if waits:
        story.ledger.rejected(launch, ApiError(ErrorKind.CAPACITY, "because"), story.now)
    for _ in range(2):
        story.now += 300
        story.ledger.reviewed({"a"}, story.now)
    if not waits:
        story.ledger.rejected(launch, ApiError(ErrorKind.THROTTLED, "because"), story.now)
    assert story.told[-1] == ("failed", "a") and story.ledger.waiting == 0 and story.is_empty()


# Attempts


def test_failures_of_run_task_use_up_an_attempt_with_a_new_token(story: Story) -> None:
    launch = story.sent("a")
    story.ledger.not_placed(launch, NotStarted("ATTRIBUTE"), story.now)
    assert launch.attempts == 1 and launch.request is None
    assert story.told == [("attempt_failed", "a")]


def test_a_conflict_that_names_the_task_is_a_launch(story: Story) -> None:
    story.submit("a")
    story.reject(ErrorKind.CONFLICT, resource_ids=("arn-x",))
    assert story.told == [("launched", "a")]
    assert story.ledger.launch_of("arn-x") is not None


def test_nothing_goes_out_while_there_are_no_credentials(story: Story) -> None:
    story.submit("a")
    launch = story.reject(ErrorKind.CREDENTIALS)
    story.ledger.pause(story.now + 5)
    assert story.send() is None and story.ledger.seconds_to_next_launch(story.now) == 5
    story.now += 5
    assert story.send() is launch
    assert launch.attempts == 0


# Ends


@pytest.mark.parametrize(
    ("ending", "policy", "relaunch"),
    [
        (OutcomeKind.FAILED, {}, True),
        (OutcomeKind.STOPPED_BY_USER, {}, True),
        (OutcomeKind.SPOT, {"relaunch": False}, True),
        (OutcomeKind.SPOT, {}, False),
    ],
    ids=["it ran (row 7)", "a user stopped it", "interrupted, and by option", "interrupted after its own report"],
)
def test_a_container_is_not_launched_again(ending: OutcomeKind, policy: dict[str, Any], relaunch: bool) -> None:
    story = Story(**policy)
    story.end(story.launch("a"), ending, relaunch)
    assert story.told == [("launched", "a"), ("failed", "a")] and story.is_empty()


def test_a_container_that_never_started_is_launched_again_within_the_attempts() -> None:
    story = Story(max_attempts=2)
    story.end(story.launch("a"), OutcomeKind.NEVER_STARTED)
    story.now += LONG
    story.end(story.launch(), OutcomeKind.NEVER_STARTED)
    assert story.told == [("launched", "a"), ("attempt_failed", "a"), ("launched", "a"), ("failed", "a")]
    assert story.ledger.events[-1].info == "No container could be started in 2 attempts. Last: because"
    assert story.is_empty()


@pytest.mark.parametrize("ending", [OutcomeKind.SPOT, OutcomeKind.INFRASTRUCTURE])
def test_row_8_capacity_that_aws_took_away_has_its_own_count(ending: OutcomeKind) -> None:
    story = Story(max_attempts=1, max_relaunches=2)
    arn = story.launch("a")
    for _ in range(2):
        story.end(arn, ending)
        story.now += LONG
        arn = story.launch()
    story.end(arn, ending)
    counters = story.ledger.counters
    spot = ending is OutcomeKind.SPOT
    assert (counters.spot_interruptions, counters.infrastructure_interruptions) == ((3, 0) if spot else (0, 3))
    first, last = (event.info for event in list(story.ledger.events)[1::4])
    what = "AWS took the Spot capacity back" if spot else "AWS took the host of the ECS task away"
    assert first == f"Interrupted: {what}; launching again (1 of 2). because"
    assert last == f"Interrupted: {what}, after relaunch 2 of 2. because"
    assert [kind for kind, _ in story.told] == ["launched", "attempt_failed"] * 2 + ["launched", "failed"]


def test_row_9_missing_is_patient_and_never_launches_a_second_container() -> None:
    story = Story(missing_grace=60)
    arn = story.launch("a")
    for _ in range(10):
        story.now += 5
        story.ledger.missing(arn, story.now)
    assert story.told == [("launched", "a")]
    story.ledger.seen(arn, story.now)
    for _ in range(13):
        assert story.told == [("launched", "a")]
        story.now += 5
        story.ledger.missing(arn, story.now)
    assert story.told == [("launched", "a"), ("failed", "a")]
    assert story.send() is None


# The same task instance again


def test_a_task_queued_again_waits_until_its_former_container_is_gone(story: Story) -> None:
    first = story.launch("a")
    story.submit("a")
    assert story.send() is None
    assert story.ledger.next_batch(story.now)[0] == [first], "its former container is looked at first"
    story.end(first, OutcomeKind.SUCCEEDED)
    second = story.launch()
    story.end(second, OutcomeKind.SUCCEEDED)
    assert story.told == [("launched", "a"), ("succeeded", "a")], "the former run is not reported any more"
    assert story.is_empty()


def test_a_former_container_does_not_change_the_state_of_a_task_that_is_queued_again(story: Story) -> None:
    first = story.launch("a")
    story.end(first, OutcomeKind.SUCCEEDED)
    story.end(story.launch("b"), OutcomeKind.SUCCEEDED)
    story.submit("a")
    assert story.told == [("launched", "b"), ("succeeded", "b")]
    second = story.launch()
    story.end(second, OutcomeKind.SUCCEEDED)
    assert story.told == [("launched", "b"), ("succeeded", "b"), ("launched", "a"), ("succeeded", "a")]


@pytest.mark.parametrize("seen_first", [True, False])
def test_the_event_log_has_what_was_remarkable_of_a_former_container(story: Story, seen_first: bool) -> None:
    first = story.launch("a")
    if seen_first:
        story.end(first, OutcomeKind.SUCCEEDED, has_reason=True)
        story.submit("a")
    else:
        story.submit("a")
        story.end(first, OutcomeKind.SUCCEEDED, has_reason=True)
    assert [kind for kind, _ in story.told] == ["container_reason"]


def test_the_event_log_has_attempts_of_a_task_that_is_queued_again(story: Story) -> None:
    story.submit("a")
    story.reject(ErrorKind.CONFLICT)
    story.now += LONG
    story.end(story.launch(), OutcomeKind.SUCCEEDED)
    story.submit("a")
    assert [kind for kind, _ in story.told] == ["attempt_failed"]


def test_the_event_log_has_what_a_former_container_has_logged(story: Story) -> None:
    first = story.launch("a")
    launch = story.ledger.launch_of(first)
    assert launch is not None
    story.end(first, OutcomeKind.FAILED)
    story.submit("a")
    story.ledger.logged(launch, "the last lines")
    assert [kind for kind, _ in story.told] == ["container_log"]


@pytest.mark.parametrize(("by_stop_task", "told"), [(True, []), (False, ["container_reason"])])
def test_the_end_of_a_revoked_container_is_remarkable_unless_it_was_stopped(
    story: Story, by_stop_task: bool, told: list[str]
) -> None:
    """Airflow 2 may find out that a task was killed for want of memory before the executor sees its container end."""
    arn = story.launch("a")
    story.revoke("a")
    story.end(arn, OutcomeKind.SUCCEEDED, has_reason=True, by_stop_task=by_stop_task)
    assert [kind for kind, _ in story.told] == told


def test_a_task_queued_again_before_it_was_sent_is_launched_once(story: Story) -> None:
    story.submit("a")
    story.submit("a")
    story.launch()
    assert story.send() is None
    assert story.ledger.running == 1


def test_row_17_a_revoked_pending_task_is_dropped_without_an_event(story: Story) -> None:
    story.submit("a")
    story.revoke("a")
    story.revoke("unknown")
    assert story.send() is None and story.told == [] and story.is_empty()


def test_row_17_a_revoked_container_is_stopped_and_a_new_launch_waits_for_its_end(story: Story) -> None:
    first = story.launch("a")
    story.revoke("a")
    story.submit("a")
    assert story.stops() == [first]
    assert story.send() is None
    story.end(first, OutcomeKind.FAILED)
    assert story.send() is not None
    assert story.told == []


def test_a_task_revoked_while_its_request_is_under_way_is_stopped_when_the_answer_comes(story: Story) -> None:
    launch = story.sent("a")
    story.ledger.revoke("a", "too long", story.now)
    story.ledger.launched(launch, "arn-1", story.now)
    assert story.stops() == ["arn-1"]
    assert story.told == []


def test_a_task_revoked_after_an_unanswered_request_is_resolved_then_stopped(story: Story) -> None:
    story.submit("a")
    story.reject(ErrorKind.OUTCOME_UNKNOWN)
    story.revoke("a")
    story.now += 60
    arn = story.launch()
    assert story.stops() == [arn]


def test_a_stop_that_failed_is_tried_again_until_the_container_is_gone(story: Story) -> None:
    arn = story.launch("a")
    story.revoke("a")
    assert story.stops() == [arn]
    assert story.ledger.stops_outstanding == 1, "its answer has not come"
    story.ledger.stop_failed(StopCall(arn, "too long"), story.now)
    story.now += 10
    assert story.stops() == [arn]
    story.end(arn, OutcomeKind.FAILED)
    story.ledger.stop_failed(StopCall(arn, "too long"), story.now)
    story.now += 10
    assert story.stops() == [] and story.ledger.stops_outstanding == 0


# The executor's end


def test_row_12_a_closed_ledger_launches_nothing_and_lets_run_what_runs(story: Story) -> None:
    arn = story.launch("a")
    story.submit("b", "c")
    story.ledger.close()
    assert story.send() is None and story.ledger.pending == 0
    story.end(arn, OutcomeKind.SUCCEEDED)
    assert story.told == [("launched", "a"), ("succeeded", "a")]


def test_row_11_stopping_all_stops_containers_and_launches_none_of_them_again(story: Story) -> None:
    arn = story.launch("a")
    launch = story.sent("b")
    story.submit("c")
    story.ledger.stop_all("terminated", story.now)
    story.ledger.launched(launch, "arn-b", story.now)
    assert set(story.stops()) == {arn, "arn-b"}
    story.end(arn, OutcomeKind.NEVER_STARTED)
    story.end("arn-b", OutcomeKind.NEVER_STARTED)
    story.now += LONG
    assert story.send() is None


# Stored arguments, which a container removes when it has read them


def sent_with_stored_arguments(story: Story) -> tuple[Launch, str]:
    launch = story.sent("a")
    launch.arguments_uri = "s3://workloads/a"
    return launch, launch.arguments_uri


def test_arguments_that_a_container_has_read_are_its_own_to_remove(story: Story) -> None:
    launch, _ = sent_with_stored_arguments(story)
    story.ledger.launched(launch, "arn", story.now)
    story.end("arn", OutcomeKind.SUCCEEDED)
    assert story.discards() == []


@pytest.mark.parametrize(
    "ending", [OutcomeKind.NEVER_STARTED, OutcomeKind.FAILED, OutcomeKind.SPOT, OutcomeKind.STOPPED_BY_USER]
)
def test_arguments_that_nobody_may_have_read_are_discarded_once(story: Story, ending: OutcomeKind) -> None:
    launch, uri = sent_with_stored_arguments(story)
    story.ledger.launched(launch, "arn", story.now)
    assert story.discards() == []
    story.end("arn", ending)
    assert story.discards() == [uri]
    story.now += LONG
    again = story.send()
    if again is not None:
        story.ledger.refused(again, "no")
        assert story.discards() == []


def test_arguments_stay_while_a_request_may_have_started_a_container(story: Story) -> None:
    launch, uri = sent_with_stored_arguments(story)
    story.ledger.rejected(launch, ApiError(ErrorKind.OUTCOME_UNKNOWN, "timeout"), story.now)
    assert story.discards() == []
    story.now += LONG
    launch = story.send() or launch
    story.ledger.rejected(launch, ApiError(ErrorKind.OUTCOME_UNKNOWN, "timeout"), story.now)
    story.now += LONG
    (launch,) = story.ledger.to_locate(story.now)
    assert story.discards() == []
    story.ledger.located(launch, None, story.now)
    assert story.discards() == [uri]


def test_arguments_stay_for_a_container_that_the_next_scheduler_may_find(story: Story) -> None:
    launch, _ = sent_with_stored_arguments(story)
    story.ledger.rejected(launch, ApiError(ErrorKind.OUTCOME_UNKNOWN, "timeout"), story.now)
    story.ledger.close()
    assert story.discards() == []


def test_a_throttled_request_is_made_anew_and_its_arguments_with_it(story: Story) -> None:
    launch, uri = sent_with_stored_arguments(story)
    story.ledger.rejected(launch, ApiError(ErrorKind.THROTTLED, "slow down"), story.now)
    assert story.discards() == [uri] and launch.request is None


def test_arguments_that_cannot_be_removed_now_are_removed_later_and_not_for_ever(story: Story) -> None:
    launch, uri = sent_with_stored_arguments(story)
    story.ledger.refused(launch, "no")
    tries = []
    while story.ledger.discards:
        story.now += LONG
        discard = story.ledger.discards.next(story.now)
        assert discard is not None and discard.uri == uri
        tries.append(story.ledger.discards.failed(discard, story.now))
        assert story.ledger.discards.next(story.now) is None, "not at once"
    assert tries == [True] * (story.ledger.policy.discard_tries - 1) + [False]


def test_a_request_that_cannot_be_made_now_is_made_later_with_growing_pauses_and_uses_up_no_attempt(
    story: Story,
) -> None:
    story.submit("a")
    for pause in (1.0, 2.0, 4.0, 8.0):
        launch = story.sent()
        uri = f"s3://workloads/{pause}"
        story.ledger.not_ready(launch, "because", story.now, uri)
        seconds = story.ledger.seconds_to_next_launch(story.now)
        assert seconds is not None and pause / 2 <= seconds <= pause
        assert story.discards() == [uri], "each is stored under a name of its own"
        story.now += pause
    assert launch.attempts == 0
    assert story.ledger.in_flight == 0


# Adoption


def test_an_adopted_task_is_followed(story: Story) -> None:
    story.adopt("a", "arn-old")
    assert story.ledger.running == 1 and story.told == []
    story.end("arn-old", OutcomeKind.SUCCEEDED)
    assert story.told == [("succeeded", "a")]


def test_a_scheduler_that_was_taken_for_dead_adopts_its_own_task_once(story: Story) -> None:
    arn = story.launch("a")
    story.adopt("a", arn)
    assert story.ledger.running == 1
    story.end(arn, OutcomeKind.SUCCEEDED)
    assert story.told == [("launched", "a"), ("succeeded", "a")]
    assert story.is_empty()


def test_what_this_scheduler_has_in_hand_is_not_adopted_again(story: Story) -> None:
    story.submit("a")
    story.adopt("a", None)
    story.adopt("a", "arn-old")
    arn = story.launch()
    story.end(arn, OutcomeKind.SUCCEEDED)
    assert story.is_empty()


def test_an_adopted_arn_of_an_earlier_run_leads_to_a_search(story: Story) -> None:
    story.adopt("a", "arn-old")
    story.ledger.not_this_run("arn-old", story.now)
    story.now += 60
    (launch,) = story.ledger.to_locate(story.now)
    story.ledger.located(launch, "arn-new", story.now)
    story.end("arn-new", OutcomeKind.SUCCEEDED)
    assert story.told == [("launched", "a"), ("succeeded", "a")]


def test_an_adopted_task_that_never_started_is_launched_from_the_database(story: Story) -> None:
    story.adopt("a", "arn-old")
    story.end("arn-old", OutcomeKind.NEVER_STARTED)
    story.now += LONG
    launch = story.send()
    assert launch is not None and launch.workload is None
    story.ledger.launched(launch, "arn-new", story.now)
    assert not launch.adopted


@pytest.mark.parametrize(("queued", "told"), [(True, []), (False, [("failed", "a")])])
def test_an_adopted_task_without_a_container_is_launched_if_it_was_queued_else_failed(
    story: Story, queued: bool, told: list[tuple[str, str]]
) -> None:
    story.adopt("a", None, launch_if_missing=queued)
    story.now += 60
    (launch,) = story.ledger.to_locate(story.now)
    story.ledger.located(launch, None, story.now)
    assert story.told == told
    assert (story.send() is launch) == queued
