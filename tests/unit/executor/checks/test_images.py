"""What is checked when, chosen and said. Real registries and a real ECS API: tests/unit/executor/test_run_images.py."""

from __future__ import annotations

import contextlib
import logging
import threading
from types import SimpleNamespace

import pytest
from airflow_ecs_executor.checks import images as module
from airflow_ecs_executor.checks.images import ImageChecks, IncompatibleImageError, NoMatchingRevisionError
from airflow_ecs_executor.image_check.comparison import Versions
from airflow_ecs_executor.image_check.errors import RegistryError

ARN = "arn:aws:ecs:eu-west-1:123456789012:task-definition/"
RIGHT, WRONG, SILENT = "worker:3.3.2-python3.12", "worker:2.10.5-python3.8", "worker:latest"


class Failed(Exception):
    """As botocore's ClientError."""

    def __init__(self, code, message="try again"):
        self.response = {"Error": {"Code": code, "Message": message}}
        super().__init__(code)


def denied(action):
    return Failed("AccessDeniedException", f"User is not authorized to perform: {action} on resource: *")


class World:
    """An account with one family of task definitions, and a registry: both by what they would answer."""

    def __init__(self, *images):
        self.images = list(images)
        self.inactive = set()
        self.error = None
        self.describe_error = None
        self.registry_error = None
        self.digests = {}
        self.moved = {}
        self.look_up_seconds = 0.0
        self.described = []
        self.looked_up = []
        self.now = 1000.0

    # As `airflow_ecs_executor.aws.ecs.Ecs`.

    def describe_definition(self, name):
        self.described.append(name)
        if self.error or self.describe_error:
            raise self.error or self.describe_error
        revision = int(name.rpartition(":")[2]) if name[-1].isdigit() else len(self.images)
        return {
            "taskDefinitionArn": f"{ARN}worker:{revision}",
            "family": "worker",
            "revision": revision,
            "requiresCompatibilities": ["FARGATE"],
            "containerDefinitions": [{"name": "airflow", "image": self.images[revision - 1]}],
        }

    def active_revisions(self, family):
        if self.error:
            raise self.error
        for revision in range(len(self.images), 0, -1):
            if revision not in self.inactive:
                yield f"{ARN}{family}:{revision}"

    # As `airflow_ecs_executor.image_check.remote.Images`.

    def look_up(self, name, platform):
        self.looked_up.append(name)
        self.now += self.look_up_seconds
        if self.registry_error:
            raise self.registry_error
        tag = self.moved.get(name, name).partition("@")[0].rpartition(":")[2]
        digests = frozenset(self.digests.get(name, ()))
        return SimpleNamespace(
            config={"architecture": "amd64"}, reference=SimpleNamespace(tag=tag), digests=digests, platforms=()
        )

    def check(self, mode="strict", team=None):
        return ImageChecks(
            self,
            self,
            Versions("3.3.2", "3.12"),
            container_name="airflow",
            mode=mode,
            team=team,
            clock=lambda: self.now,
        )


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, logger="airflow_ecs_executor")
    return lambda level=logging.INFO: [record.getMessage() for record in caplog.records if record.levelno >= level]


def task(revision=1, digest="sha256:a"):
    return {
        "taskDefinitionArn": f"{ARN}worker:{revision}",
        "containers": [{"name": "proxy", "imageDigest": "sha256:p"}, {"name": "airflow", "imageDigest": digest}],
    }


def see(check, described):
    """Show a task, and wait until it was compared."""
    check.observe(described)
    for thread in threading.enumerate():
        if thread.name == "airflow-ecs-image-check":
            thread.join(5)


# A definition


def test_what_fits_is_launched_without_a_word(said):
    world = World(RIGHT)
    assert world.check().resolve("worker") == "worker"
    assert said() == []


def test_each_definition_is_looked_at_once_whoever_waits_for_it():
    world = World(RIGHT)
    check = world.check()
    threads = [threading.Thread(target=check.resolve, args=("worker",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check.resolve(f"{ARN}worker:1")  # found out as the family's revision
    assert len(world.described) == 1 and len(world.looked_up) == 1


def test_strict_refuses_what_does_not_fit_and_says_all_that_helps():
    with pytest.raises(IncompatibleImageError) as caught:
        World(WRONG).check(team="red").resolve("worker")
    text = str(caught.value)
    for words in (
        "Airflow: the image has 2.10.5, expected 3.3.2",
        "Python: the image has 3.8, expected 3.12",
        WRONG,
        "task definition worker:1",
        "python build.py --airflow 3.3.2 --python 3.12 --dags s3 --platform linux/amd64 --repository worker --push",
        "AIRFLOW__RED___AIRFLOW_ECS_EXECUTOR__IMAGE_VERSION_CHECK=warn",
    ):
        assert words in text


def test_warn_says_it_once_and_goes_on(said):
    check = World(WRONG).check("warn")
    assert check.resolve("worker") == check.resolve("worker") == "worker"
    (warning,) = said(logging.WARNING)
    assert "is incompatible" in warning and "build.py" in warning and "CHECK=warn" not in warning


def test_off_looks_at_nothing():
    world = World(WRONG)
    assert world.check("off").resolve("worker") == "worker"
    assert world.described == []


DENIED_BY_REGISTRY = RegistryError("denied", "ecr:BatchGetImage")


@pytest.mark.parametrize("mode", ["strict", "warn"])
@pytest.mark.parametrize(
    ("image", "errors", "words"),
    [
        (SILENT, {}, "which Airflow and Python"),
        (RIGHT, {"registry_error": DENIED_BY_REGISTRY}, "Allow ecr:BatchGetImage"),
        (RIGHT, {"error": denied("ecs:DescribeTaskDefinition")}, "Allow ecs:DescribeTaskDefinition"),
    ],
    ids=["an image that does not say", "a registry that does not let in", "a definition that may not be described"],
)
def test_what_is_not_known_is_warned_about_once_and_launched(said, mode, image, errors, words):
    world = World(image)
    vars(world).update(errors)
    check = world.check(mode)
    assert check.resolve("worker") == check.resolve("worker") == "worker"
    (warning,) = said(logging.WARNING)
    assert "was not checked" in warning and words in warning


@pytest.mark.parametrize(
    ("name", "launched", "attribute", "code"),
    [
        ("worker", "worker", "error", "ThrottlingException"),
        ("worker:matching", f"{ARN}worker:1", "error", "ThrottlingException"),
        ("worker:matching", f"{ARN}worker:1", "describe_error", "ServerException"),
    ],
)
def test_while_it_may_help_to_wait_the_launch_waits(name, launched, attribute, code):
    world = World(RIGHT)
    setattr(world, attribute, Failed(code))
    check = world.check()
    with pytest.raises(Failed):
        check.resolve(name)
    setattr(world, attribute, None)
    world.now += module._NAME_AGE
    assert check.resolve(name) == launched


def test_a_definition_that_ecs_fails_to_describe_is_left_to_it_and_described_later(said):
    world = World(WRONG)
    world.error = Failed("ServerException")
    check = world.check()
    assert check.resolve("worker") == check.resolve("worker") == "worker"
    assert "was not checked" in said(logging.WARNING)[0] and len(world.described) == 1
    world.error = None
    world.now += module._NAME_AGE
    with pytest.raises(IncompatibleImageError):
        check.resolve("worker")


def test_a_family_follows_its_newest_revision():
    world = World(WRONG)
    check = world.check()
    with pytest.raises(IncompatibleImageError):
        check.resolve("worker")
    world.images.append(RIGHT)
    world.now += module._NAME_AGE
    assert check.resolve("worker") == "worker"
    assert check.known("worker").definition.revision == 2
    assert check.known(f"{ARN}worker:1").definition.revision == 1, "the former revision is what it was"


def test_a_family_stays_what_it_was_while_ecs_is_away():
    world = World(RIGHT)
    check = world.check()
    check.resolve("worker")
    world.now += module._NAME_AGE
    world.error = Failed("ThrottlingException")
    assert check.resolve("worker") == "worker" and check.known("worker").is_compatible


@pytest.mark.parametrize("registry_error", [None, RegistryError("no answer")])
def test_an_image_that_did_not_fit_or_could_not_be_read_is_looked_at_again(registry_error):
    world = World(WRONG)
    world.registry_error = registry_error
    check = world.check()
    for _ in range(2):
        with contextlib.suppress(IncompatibleImageError):
            check.resolve("worker:1")
    assert len(world.looked_up) == 1
    world.registry_error = None
    world.moved[WRONG] = RIGHT
    world.now += module._UNFIT_AGE + 1
    check.resolve("worker:1")
    assert len(world.looked_up) == 2 and check.known("worker:1").is_compatible


# Choosing by version


def test_the_newest_revision_that_fits_is_chosen_and_said(said):
    check = World(RIGHT, RIGHT, WRONG).check()
    assert check.resolve("worker:matching") == f"{ARN}worker:2"
    (line,) = said()
    assert "Tasks run worker:2" in line and "worker:3: Airflow: the image has 2.10.5" in line


@pytest.mark.parametrize("mode", ["strict", "warn", "off"])
@pytest.mark.parametrize("family", ["worker", f"{ARN}worker"])
def test_choosing_does_not_depend_on_the_mode(family, mode):
    assert World(RIGHT, WRONG).check(mode).resolve(f"{family}:matching") == f"{ARN}worker:1"


def test_the_choice_is_kept_for_a_minute(said):
    world = World(RIGHT)
    check = world.check()
    check.resolve("worker:matching")
    world.images.append(RIGHT)
    assert check.resolve("worker:matching") == f"{ARN}worker:1"
    world.now += module._NAME_AGE
    assert check.resolve("worker:matching") == f"{ARN}worker:2"
    world.now += module._NAME_AGE
    check.resolve("worker:matching")
    assert len(said()) == 2, "a choice that stays is not said again"


def test_a_revision_that_disappeared_is_replaced_at_once():
    world = World(RIGHT, RIGHT)
    check = world.check()
    check.resolve("worker:matching")
    assert check.mark_inactive(f"{ARN}worker:2")
    assert check.resolve("worker:matching") == f"{ARN}worker:1", "ECS may list it for a while"
    assert check.mark_inactive(f"{ARN}worker:2"), "another launch may have been under way with it"


def test_a_revision_that_a_user_named_is_not_ours_to_replace():
    check = World(RIGHT).check()
    check.resolve("worker:1")
    assert not check.mark_inactive("worker:1") and not check.mark_inactive(f"{ARN}worker:1")


def test_when_none_fits_strict_refuses_with_what_there_is():
    with pytest.raises(IncompatibleImageError) as caught:
        World(WRONG, WRONG).check().resolve("worker:matching")
    text = str(caught.value)
    assert "No active revision of worker" in text and "worker:2: Airflow" in text and "worker:1: Airflow" in text
    assert "build.py --airflow 3.3.2" in text


@pytest.mark.parametrize("mode", ["warn", "off"])
def test_when_none_fits_the_others_run_the_newest(said, mode):
    assert World(WRONG, WRONG).check(mode).resolve("worker:matching") == f"{ARN}worker:2"
    assert "No active revision of worker is compatible" in said(logging.WARNING)[0]


def test_a_revision_that_is_not_known_is_better_than_one_that_is_wrong(said):
    assert World(WRONG, SILENT, WRONG).check().resolve("worker:matching") == f"{ARN}worker:2"
    assert "is known to be compatible" in said(logging.WARNING)[0]


def test_a_family_without_revisions():
    with pytest.raises(IncompatibleImageError, match="has no active revision: register one"):
        World().check().resolve("worker:matching")


@pytest.mark.parametrize(
    ("image", "attribute", "action"),
    [(RIGHT, "error", "ecs:ListTaskDefinitions"), (WRONG, "describe_error", "ecs:DescribeTaskDefinition")],
)
def test_a_permission_that_choosing_needs(image, attribute, action):
    world = World(image)
    setattr(world, attribute, denied(action))
    with pytest.raises(NoMatchingRevisionError, match=f"Allow {action}, or name a revision"):
        world.check().resolve("worker:matching")


@pytest.mark.parametrize(
    "errors", [{"describe_error": denied("ecs:DescribeTaskDefinition")}, {"error": Failed("ThrottlingException")}]
)
def test_a_choice_outlives_a_permission_and_an_api_that_is_away(said, errors):
    world = World(RIGHT)
    check = world.check()
    check.resolve("worker:matching")
    world.images.append(RIGHT)
    world.now += module._NAME_AGE
    vars(world).update(errors)
    assert check.resolve("worker:matching") == f"{ARN}worker:1"
    assert "could be looked for" in said(logging.WARNING)[0]


def test_a_registry_that_does_not_answer_delays_a_choice_no_longer_than_said(said):
    world = World(*[WRONG] * 30)
    world.registry_error, world.look_up_seconds = RegistryError("no answer"), 10.0
    began = world.now
    assert world.check().resolve("worker:matching") == f"{ARN}worker:30"
    assert world.now - began <= module._CHOICE_BUDGET + 10.0


def test_a_former_choice_that_disappears_is_replaced_too():
    """A request that ECS has not answered is sent again as it was, while the choice goes on."""
    world = World(RIGHT, RIGHT)
    check = world.check()
    check.resolve("worker:matching")
    world.inactive.add(2)
    world.now += module._NAME_AGE
    assert check.resolve("worker:matching") == f"{ARN}worker:1"
    assert check.mark_inactive(f"{ARN}worker:2")


def test_no_more_than_fifty_revisions_are_looked_at():
    world = World(RIGHT, *[WRONG] * 60)
    with pytest.raises(IncompatibleImageError):
        world.check().resolve("worker:matching")
    assert len(world.described) == module._MOST_REVISIONS


# What ECS runs


def test_the_image_that_was_checked_runs(said):
    world = World(RIGHT)
    world.digests[RIGHT] = ["sha256:index", "sha256:manifest"]
    check = world.check()
    check.resolve("worker")
    see(check, task(digest="sha256:manifest"))
    see(check, task(digest="sha256:index"))
    assert said() == []


def test_a_tag_that_was_moved_is_said_once_with_what_runs_now(said):
    world = World(RIGHT)
    world.digests[RIGHT] = ["sha256:a"]
    check = world.check()
    check.resolve("worker")
    for _ in range(3):
        see(check, task(digest="sha256:b"))
    (warning,) = said(logging.WARNING)
    assert "runs another image than was checked" in warning and "sha256:a" in warning and "sha256:b" in warning
    assert world.looked_up[-1] == "worker@sha256:b"


def test_a_newer_revision_of_the_family_is_looked_at_when_it_runs(said):
    world = World(RIGHT)
    check = world.check()
    check.resolve("worker")
    world.images.append(WRONG)
    see(check, task(revision=2))
    (warning,) = said(logging.WARNING)
    assert "is incompatible" in warning and "worker:2" in warning


def test_a_task_without_a_digest_says_nothing_yet(said):
    world = World(WRONG)
    see(world.check(), {"taskDefinitionArn": f"{ARN}worker:1", "containers": [{"name": "airflow"}]})
    see(world.check(), {})
    see(world.check("off"), task())
    assert world.described == [] and said() == []


def test_an_error_in_looking_again_reaches_nobody(said):
    world = World(RIGHT)
    world.error = Failed("ThrottlingException")
    see(world.check(), task())
    assert said(logging.WARNING) == []


def test_images_known_not_to_be_ours_are_foreign():
    check = World(RIGHT).check()
    assert not check.is_foreign(f"{ARN}worker:1"), "not looked at yet"
    check.resolve("worker")
    assert check.is_foreign("worker") and check.is_foreign(f"{ARN}worker:1")
