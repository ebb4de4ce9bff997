"""Whether the images that run tasks are compatible with this scheduler.

They are checked at start, at first use, and when ECS runs another image than was checked: before the scheduler's loop
begins, in launcher threads, and in a thread of their own, so the loop never waits for ECS or a registry.
"""

from __future__ import annotations

import logging
import math
import threading
import time
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
from airflow_ecs_executor.image_check.comparison import Fit, ImageReport, Versions, repository_of
from airflow_ecs_executor.image_check.messages import CheckedDefinition, Messages, moved
from airflow_ecs_executor.image_check.remote import Images, check_image

log = logging.getLogger("airflow_ecs_executor")

_MOST_REVISIONS = 50
_CHOICE_BUDGET = 20.0
"""Revisions of a family that are checked to choose one, and seconds after which no further one is checked."""
_NAME_AGE = 60.0
"""Seconds after which a family may have a newer revision, and after which a failed description is tried again."""
_UNFIT_AGE = 300.0
"""Seconds after which an image is checked again that was incompatible, or could not be checked."""


class IncompatibleImageError(Exception):
    """An image that cannot run this scheduler's tasks; the message says why, and what to do."""


class NoMatchingRevisionError(IncompatibleImageError):
    """No revision of a family can be chosen, because ECS does not list them, or because there is none."""


T = TypeVar("T")


class _SingleFlightCache(Generic[T]):
    """A value that one thread renews, while the others continue with the former one, if there is one."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._at = 0.0
        self.found: T | None = None

    def get(self, max_age: Callable[[T], float], find: Callable[[T | None], T]) -> T:
        """Return the value, which ``find`` renews if there is none or if it is older than ``max_age`` seconds."""
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
    """The images of all task definitions that this executor launches. Thread-safe."""

    def __init__(
        self,
        ecs: Ecs,
        images: Images,
        versions: Versions,
        *,
        container_name: str,
        mode: str,
        team: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Check nothing yet. ``mode`` is the value of ``image_version_check``, ``team`` whose option that is."""
        self._ecs = ecs
        self._images = images
        self._versions = versions
        self.messages = Messages(versions, container_name)
        self._container_name = container_name
        self._mode = mode
        self._overrule = f"To continue anyway: {IMAGE_VERSION_CHECK.variable(team)}={WARN}"
        self._clock = clock
        self._lock = threading.Lock()
        self._definitions: dict[str, _SingleFlightCache[TaskDefinition | Exception]] = {}
        """By name; what botocore raised if a definition cannot be described."""
        self._reports: dict[str, _SingleFlightCache[ImageReport]] = {}
        """By ARN."""
        self._choices: dict[str, _SingleFlightCache[CheckedDefinition]] = {}
        """By family."""
        self._chosen_once: set[str] = set()
        self._gone: set[str] = set()
        """Revisions that ECS may still list, but no longer launches."""
        self._seen: set[tuple[str, str]] = set()
        self._said: set[str] = set()

    # Before a launch

    def resolve(self, name: str) -> str:
        """Return the task definition to launch for ``name``, whose image is checked once.

        Raises IncompatibleImageError if nothing may be launched, and what botocore raises while that is not known.
        """
        if name.endswith(MATCHING):
            return self._chosen(family_of(name)).name
        if self._mode != OFF:
            self._require(self._checked(name))
        return name

    def examine(self, name: str) -> CheckedDefinition:
        """Return the check of the task definition that ``name`` means, without warnings. Raises as `resolve` does."""
        return self._chosen(family_of(name)) if name.endswith(MATCHING) else self._checked(name)

    def known(self, name: str) -> CheckedDefinition | None:
        """Return the check of a task definition, by a name or ARN that was checked before."""
        described = self._definitions.get(name)
        definition = described.found if described else None
        if not isinstance(definition, TaskDefinition):
            return None
        reported = self._reports.get(definition.arn)
        return CheckedDefinition(name, definition, reported.found) if reported and reported.found else None

    def is_foreign(self, name: str) -> bool:
        """Return whether the image of a task definition is known not to be of this project."""
        checked = self.known(name)
        return checked is not None and checked.report.is_foreign

    def mark_inactive(self, name: str) -> bool:
        """Note that ECS no longer launches a revision; return whether it was chosen here."""
        with self._lock:
            if name not in self._chosen_once:
                return False
            self._gone.add(name)
            for choice in self._choices.values():
                if choice.found is not None and choice.found.name == name:
                    choice.found = None
            return True

    def _require(self, checked: CheckedDefinition) -> None:
        if checked.is_incompatible:
            if self._mode == STRICT:
                raise IncompatibleImageError("\n".join([*self.messages.incompatible(checked), self._overrule]))
            self._warn(" ".join(self.messages.incompatible(checked)))
        elif not checked.is_compatible:
            self._warn(self.messages.unchecked(checked))

    def _checked(self, name: str) -> CheckedDefinition:
        """Check a task definition and its image, unless an earlier check is still valid.

        Raises what botocore raises if the next call may succeed.
        """
        definition = self._cache_of(self._definitions, name).get(
            lambda known: math.inf if isinstance(known, TaskDefinition) and names_a_revision(name) else _NAME_AGE,
            lambda former: self._describe(name, former),
        )
        if isinstance(definition, Exception):
            error = classify(definition)
            return CheckedDefinition(name, None, ImageReport("", error=error.reason, action=error.action), definition)
        found = definition
        report = self._cache_of(self._reports, found.arn).get(
            lambda known: math.inf if known.outcome is Fit.COMPATIBLE else _UNFIT_AGE,
            lambda former: self._report_on(found),
        )
        return CheckedDefinition(name, found, report)

    def _cache_of(self, where: dict[str, _SingleFlightCache[T]], name: str) -> _SingleFlightCache[T]:
        with self._lock:
            return where.setdefault(name, _SingleFlightCache(self._clock))

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
        with self._lock:  # also known by its ARN
            self._definitions.setdefault(definition.arn, _SingleFlightCache(self._clock)).found = definition
        return definition

    def _report_on(self, definition: TaskDefinition, digest: str = "") -> ImageReport:
        if not definition.image:
            return ImageReport("", error=f"it has no container {self._container_name!r}")
        image = f"{repository_of(definition.image)}@{digest}" if digest else definition.image
        try:
            return check_image(self._images, image, self._versions, definition.platform)
        except Exception as exception:  # noqa: BLE001 - a defect of the check, which classify logs, must not stop tasks
            return ImageReport(image, error=classify(exception).reason)

    # Choosing a revision

    def _chosen(self, family: str) -> CheckedDefinition:
        choice = self._cache_of(self._choices, family)
        return choice.get(lambda known: _NAME_AGE, lambda former: self._choose(family, former))

    def _choose(self, family: str, former: CheckedDefinition | None) -> CheckedDefinition:
        rejected: list[CheckedDefinition] = []
        try:
            chosen = self._newest_compatible(family, rejected)
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
            message = self.messages.choice(family, chosen, rejected)
            if chosen.is_compatible:
                log.info("%s", message)
            else:
                self._warn(message)
        with self._lock:
            self._chosen_once.add(chosen.name)
        return chosen

    def _newest_compatible(self, family: str, rejected: list[CheckedDefinition]) -> CheckedDefinition:
        """Return the newest active revision with a compatible image, else the newest that could not be checked."""
        until = self._clock() + _CHOICE_BUDGET
        for arn in self._ecs.active_revisions(family):
            if arn in self._gone:
                continue
            checked = self._checked(arn)
            if checked.is_compatible:
                return checked
            if checked.exception is not None:
                if lacks_definition(classify(checked.exception)):
                    continue  # deregistered since it was listed
                raise checked.exception.with_traceback(None)
            rejected.append(checked)
            if len(rejected) == _MOST_REVISIONS or self._clock() > until:
                break
        unknown = [checked for checked in rejected if not checked.is_incompatible]
        if unknown:
            return unknown[0]
        if rejected and self._mode != STRICT:
            return rejected[0]
        if not rejected:
            raise NoMatchingRevisionError(
                f"The family {family} has no active revision: register one (aws ecs register-task-definition)."
            )
        raise IncompatibleImageError(f"{self.messages.none_compatible(family, rejected)}\n{self._overrule}")

    # What ECS runs

    def observe(self, task: Mapping[str, Any]) -> None:
        """Compare what a described task runs with what was checked, in a separate thread. Never raises."""
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
                self._warn(moved(checked, digest, self._report_on(checked.definition, digest)))
            elif checked.is_incompatible:
                self._warn(" ".join(self.messages.incompatible(checked)))
        except Exception as exception:  # noqa: BLE001 - classify logs a defect with its traceback
            log.info("The image that %s runs was not checked: %s", name, classify(exception).reason)

    def _warn(self, text: str) -> None:
        """Log a warning once."""
        with self._lock:
            if text in self._said:
                return
            self._said.add(text)
        log.warning("%s", text)
