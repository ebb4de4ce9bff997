"""Whether the images that run tasks fit this scheduler: at start, at first use, and when what ECS runs has changed.

Looks go to ECS and to the image's registry, and take seconds at most. They are made where the scheduler's loop does not
wait: before it begins, in launcher threads, and in a thread of their own.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from dataclasses import dataclass
from typing import Any, Callable, Generic, Mapping, TypeVar

from airflow_ecs_executor.aws.ecs import Ecs
from airflow_ecs_executor.aws.errors import ErrorKind, classify, lacks_definition
from airflow_ecs_executor.aws.task_definition import (
    MATCHING,
    TaskDefinition,
    family_of,
    names_a_revision,
    read_definition,
)
from airflow_ecs_executor.config.options import IMAGE_VERSION_CHECK, OFF, STRICT, WARN
from airflow_ecs_executor.image_check.check import check_image
from airflow_ecs_executor.image_check.comparison import (
    Fit,
    ImageReport,
    Versions,
    build_command,
    differences,
    repository_of,
    unknowns,
)
from airflow_ecs_executor.image_check.remote import Images

log = logging.getLogger("airflow_ecs_executor")

_MOST_REVISIONS = 50
_CHOICE_BUDGET = 20.0
"""Revisions of a family that are looked at for one that fits, and the seconds after which no further one is."""
_NAME_AGE = 60.0
"""Seconds after which a family may stand for a newer revision, and a definition may be described that could not be."""
_UNFIT_AGE = 300.0
"""Seconds after which an image is looked at again that did not fit, or could not be looked at."""
_OVERRULE = f"To go on all the same: {IMAGE_VERSION_CHECK.variable()}={WARN}"


class IncompatibleImageError(Exception):
    """An image that cannot run this scheduler's tasks; the message says why, and what to do."""


class NoMatchingRevisionError(IncompatibleImageError):
    """A family of which no revision can be chosen, because ECS does not show them, or there is none."""


@dataclass(frozen=True)
class Checked:
    """A task definition with what was found of its image.

    ``definition`` is None if it could not be described; ``exception`` is then what botocore has raised.
    """

    name: str
    definition: TaskDefinition | None
    report: ImageReport
    exception: Exception | None = None

    @property
    def fits(self) -> bool:
        """Whether everything is known, and right."""
        return self.report.outcome is Fit.COMPATIBLE

    @property
    def differs(self) -> bool:
        """Whether something is known to be wrong."""
        return self.report.outcome is Fit.INCOMPATIBLE


T = TypeVar("T")


class _Kept(Generic[T]):
    """What was found out. One thread finds it out anew; the others go on meanwhile with what they have, if anything."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._at = 0.0
        self.found: T | None = None

    def get(self, max_age: Callable[[T], float], find: Callable[[T | None], T]) -> T:
        """Return what is known, found out by ``find`` if it is older than ``max_age`` seconds, or not known."""
        former = self.found
        if former is not None and self._clock() - self._at < max_age(former):
            return former
        if not self._lock.acquire(blocking=former is None):
            assert former is not None
            return former
        try:
            known = self.found
            if known is None or self._clock() - self._at >= max_age(known):
                known = self.found = find(known)
                self._at = self._clock()
            return known
        finally:
            self._lock.release()


class ImageChecks:
    """The images of all task definitions that this executor launches. May be used by any thread."""

    def __init__(
        self,
        ecs: Ecs,
        images: Images,
        versions: Versions,
        *,
        container_name: str,
        mode: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Look at nothing yet. ``mode`` is that of ``image_version_check``."""
        self._ecs = ecs
        self._images = images
        self._versions = versions
        self._container_name = container_name
        self._mode = mode
        self._clock = clock
        self._lock = threading.Lock()
        self._definitions: dict[str, _Kept[TaskDefinition | Exception]] = {}
        """By name; what botocore has raised, if it was that."""
        self._reports: dict[str, _Kept[ImageReport]] = {}
        """By ARN."""
        self._choices: dict[str, _Kept[Checked]] = {}
        """By family."""
        self._chosen_once: set[str] = set()
        self._gone: set[str] = set()
        """Revisions that ECS may still list, and launches no more."""
        self._seen: set[tuple[str, str]] = set()
        self._said: set[str] = set()

    # Before a launch

    def resolve(self, name: str) -> str:
        """Return the task definition to launch for ``name``; its image is checked, once.

        Raises IncompatibleImageError when nothing may be launched, and what botocore raises while that is not known.
        """
        if name.endswith(MATCHING):
            return self._chosen(family_of(name)).name
        if self._mode != OFF:
            self._require(self._checked(name))
        return name

    def examine(self, name: str) -> Checked:
        """Look at the task definition that ``name`` stands for; nothing is warned about. Raises as `settle` does."""
        return self._chosen(family_of(name)) if name.endswith(MATCHING) else self._checked(name)

    def known(self, name: str) -> Checked | None:
        """What is known of a task definition, by a name or ARN that was looked at."""
        described = self._definitions.get(name)
        definition = described.found if described else None
        if not isinstance(definition, TaskDefinition):
            return None
        reported = self._reports.get(definition.arn)
        return Checked(name, definition, reported.found) if reported and reported.found else None

    def is_foreign(self, name: str) -> bool:
        """Whether the image of a task definition is known not to be of this project."""
        checked = self.known(name)
        return checked is not None and checked.report.is_foreign

    def mark_inactive(self, name: str) -> bool:
        """ECS does not launch this revision any more; True if it is one that was chosen here."""
        with self._lock:
            if name not in self._chosen_once:
                return False
            self._gone.add(name)
            for choice in self._choices.values():
                if choice.found is not None and choice.found.name == name:
                    choice.found = None
            return True

    def _require(self, checked: Checked) -> None:
        if checked.differs:
            if self._mode == STRICT:
                raise IncompatibleImageError("\n".join([*self._incompatible(checked), _OVERRULE]))
            self._warn(" ".join(self._incompatible(checked)))
        elif not checked.fits:
            self._warn(self._unchecked(checked))

    def _checked(self, name: str) -> Checked:
        """Look at a task definition and its image, unless that has been done, and stands.

        Raises what botocore raises if the next call may succeed.
        """
        definition = self._kept(self._definitions, name).get(
            lambda known: math.inf if isinstance(known, TaskDefinition) and names_a_revision(name) else _NAME_AGE,
            lambda former: self._describe(name, former),
        )
        if isinstance(definition, Exception):
            error = classify(definition)
            return Checked(name, None, ImageReport("", error=error.reason, action=error.action), definition)
        found = definition
        report = self._kept(self._reports, found.arn).get(
            lambda known: math.inf if known.outcome is Fit.COMPATIBLE else _UNFIT_AGE,
            lambda former: self._report_on(found),
        )
        return Checked(name, found, report)

    def _kept(self, where: dict[str, _Kept[T]], name: str) -> _Kept[T]:
        with self._lock:
            return where.setdefault(name, _Kept(self._clock))

    def _describe(self, name: str, former: TaskDefinition | Exception | None) -> TaskDefinition | Exception:
        try:
            document = self._ecs.describe_definition(name)
        except Exception as exception:
            kind = classify(exception).kind
            if kind is not ErrorKind.PERMANENT and isinstance(former, TaskDefinition):
                return former
            if kind in (ErrorKind.THROTTLED, ErrorKind.CREDENTIALS):
                raise
            return exception
        definition = read_definition(document, self._container_name)
        with self._lock:  # known by its ARN, too
            self._definitions.setdefault(definition.arn, _Kept(self._clock)).found = definition
        return definition

    def _report_on(self, definition: TaskDefinition) -> ImageReport:
        if not definition.image:
            return ImageReport("", error=f"it has no container {self._container_name!r}")
        return check_image(self._images, definition.image, self._versions, definition.platform)

    # Choosing a revision

    def _chosen(self, family: str) -> Checked:
        choice = self._kept(self._choices, family)
        return choice.get(lambda known: _NAME_AGE, lambda former: self._look_for(family, former))

    def _look_for(self, family: str, former: Checked | None) -> Checked:
        passed: list[Checked] = []
        try:
            chosen = self._newest_that_fits(family, passed)
        except IncompatibleImageError:
            raise
        except Exception as exception:
            error = classify(exception)
            if former is not None:
                self._warn(f"No newer revision of {family} could be looked for: {error.reason}")
                return former
            if error.kind is not ErrorKind.PERMANENT:
                raise
            allow = f" Allow {error.action}, or name a revision." if error.action else ""
            raise NoMatchingRevisionError(f"No revision of {family} can be chosen: {error.reason}.{allow}") from None
        if former is None or former.name != chosen.name:
            self._say_choice(family, chosen, passed)
        with self._lock:
            self._chosen_once.add(chosen.name)
        return chosen

    def _newest_that_fits(self, family: str, passed: list[Checked]) -> Checked:
        """The newest active revision that fits, else the newest that could not be looked at."""
        until = self._clock() + _CHOICE_BUDGET
        for arn in self._ecs.active_revisions(family):
            if arn in self._gone:
                continue
            checked = self._checked(arn)
            if checked.fits:
                return checked
            if checked.exception is not None:
                if lacks_definition(classify(checked.exception)):
                    continue  # deregistered since it was listed
                raise checked.exception.with_traceback(None)
            passed.append(checked)
            if len(passed) == _MOST_REVISIONS or self._clock() > until:
                break
        unknown = [checked for checked in passed if not checked.differs]
        if unknown:
            return unknown[0]
        if passed and self._mode != STRICT:
            return passed[0]
        if not passed:
            raise NoMatchingRevisionError(
                f"The family {family} has no active revision: register one (aws ecs register-task-definition)."
            )
        raise IncompatibleImageError(self._none_fits(family, passed))

    def _say_choice(self, family: str, chosen: Checked, passed: list[Checked]) -> None:
        found = "; ".join(_findings(passed))
        if chosen.fits:
            others = f". Newer ones do not: {found}" if found else ""
            log.info("Tasks run %s, the newest active revision whose image fits%s", _title(chosen), others)
        elif chosen.differs:
            self._warn(
                f"No active revision of {family} fits; tasks run the newest, {_title(chosen)}. {found}. "
                f"{self._remedy(chosen)}"
            )
        else:
            self._warn(f"No active revision of {family} is known to fit. {self._unchecked(chosen)}")

    def _none_fits(self, family: str, passed: list[Checked]) -> str:
        newest = passed[0]
        found = "\n".join(f"    {finding}" for finding in _findings(passed))
        return (
            f"No active revision of {family} has an image that fits this scheduler (Airflow {self._versions.airflow}, "
            f"Python {self._versions.python}):\n{found}\n{self._remedy(newest)}\n{_OVERRULE}"
        )

    # What ECS runs

    def observe(self, task: Mapping[str, Any]) -> None:
        """Compare what a described task runs with what was checked, in a thread of its own. Never raises."""
        name = str(task.get("taskDefinitionArn") or "")
        containers = task.get("containers") or ()
        ours: Mapping[str, Any] = next((item for item in containers if item.get("name") == self._container_name), {})
        digest = str(ours.get("imageDigest") or "")
        if self._mode == OFF or not name or not digest or (name, digest) in self._seen:
            return
        self._seen.add((name, digest))
        threading.Thread(target=self._compare, args=(name, digest), name="airflow-ecs-image-check", daemon=True).start()

    def _compare(self, name: str, digest: str) -> None:
        try:
            checked = self._checked(name)
            report = checked.report
            if report.digests and digest not in report.digests and checked.definition is not None:
                self._drifted(checked, checked.definition, digest)
            elif checked.differs:
                self._warn(" ".join(self._incompatible(checked)))
        except Exception as exception:
            log.info("The image that %s runs was not checked: %s", name, classify(exception).reason)

    def _drifted(self, checked: Checked, definition: TaskDefinition, digest: str) -> None:
        image = f"{repository_of(definition.image)}@{digest}"
        report = check_image(self._images, image, self._versions, definition.platform)
        found = {
            Fit.COMPATIBLE: "It fits as well",
            Fit.INCOMPATIBLE: f"It does not fit: {differences(report)}",
            Fit.UNKNOWN: f"Whether it fits is not known: {unknowns(report)}",
        }[report.outcome]
        self._warn(
            f"{_title(checked)} runs another image than was checked: {definition.image} is {digest} now, and was "
            f"{', '.join(sorted(checked.report.digests))}. {found}. Register task definitions with a tag that is never "
            "moved, or with the digest."
        )

    # Words

    def _incompatible(self, checked: Checked) -> list[str]:
        return [
            f"The image does not fit this scheduler. {differences(checked.report)}.",
            f"It is {checked.report.image}, of the container {self._container_name!r} in the task definition "
            f"{_title(checked)}.",
            self._remedy(checked),
        ]

    def advice(self, checked: Checked) -> list[str]:
        """What to do about an image that does not fit, or was not looked at; empty if all is well."""
        if checked.differs:
            return [self._remedy(checked)]
        return [] if checked.fits else [self._unchecked(checked)]

    def _remedy(self, checked: Checked) -> str:
        platform = checked.definition.platform if checked.definition else None
        command = build_command(checked.report, self._versions, platform)
        return f"Build and push the one that fits, and register it as a new revision: {command}"

    def _unchecked(self, checked: Checked) -> str:
        allow = f" Allow {checked.report.action} to have it checked." if checked.report.action else ""
        image = f"The image {checked.report.image} of " if checked.report.image else ""
        text = f"{image}{_title(checked)} was not checked against this scheduler: {unknowns(checked.report)}"
        return f"{text.rstrip('.')}.{allow}"

    def _warn(self, text: str) -> None:
        """Log a warning, once."""
        with self._lock:
            if text in self._said:
                return
            self._said.add(text)
        log.warning("%s", text)


def _title(checked: Checked) -> str:
    return checked.definition.name if checked.definition else checked.name


def _findings(passed: list[Checked]) -> list[str]:
    """What keeps the newest few revisions from being chosen."""
    return [
        f"{_title(checked)}: {differences(checked.report) if checked.differs else unknowns(checked.report)}"
        for checked in passed[:5]
    ]
