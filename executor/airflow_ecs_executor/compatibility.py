"""Whether the images that run tasks fit this scheduler: at start, at first use, and when what ECS runs has changed.

Looks go to ECS and to the image's registry, and take seconds at most. They are made where the scheduler's loop does not
wait: before it begins, in launcher threads, and in a thread of their own.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import Any, Callable, Mapping

from airflow_ecs_executor.ecs import Ecs
from airflow_ecs_executor.failures import Trouble, classify
from airflow_ecs_executor.image_check.check import check_image
from airflow_ecs_executor.image_check.comparison import (
    ImageReport,
    Outcome,
    Versions,
    build_command,
    differences,
    repository_of,
    unknowns,
)
from airflow_ecs_executor.image_check.remote import Images
from airflow_ecs_executor.options import IMAGE_VERSION_CHECK, OFF, STRICT, WARN
from airflow_ecs_executor.task_definition import MATCHING, TaskDefinition, family_of, read_definition

log = logging.getLogger("airflow_ecs_executor")

_MOST_REVISIONS = 50
"""Revisions of a family that are looked at for one that fits."""
_CHOICE_AGE = 60.0
"""Seconds after which a newer revision is looked for."""
_UNKNOWN_AGE = 300.0
"""Seconds after which an image that could not be looked at is looked at again."""
_OVERRULE = f"To go on all the same: {IMAGE_VERSION_CHECK.variable()}={WARN}"


class MisfitError(Exception):
    """An image that cannot run this scheduler's tasks; the message says why, and what to do."""


@dataclass(frozen=True)
class Checked:
    """A task definition with what was found of its image. ``definition`` is None if it could not be described."""

    name: str
    definition: TaskDefinition | None
    report: ImageReport
    at: float

    @property
    def fits(self) -> bool:
        """Whether everything is known, and right."""
        return self.report.outcome is Outcome.FITS

    @property
    def differs(self) -> bool:
        """Whether something is known to be wrong."""
        return self.report.outcome is Outcome.DIFFERS


class _Entry:
    """What is known under one name; whoever holds ``lock`` finds it out."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.checked: Checked | None = None


class _Choice:
    """The revision of one family that is launched now."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.checked: Checked | None = None
        self.at = 0.0


class Compatibility:
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
        self._entries: dict[str, _Entry] = {}
        self._choices: dict[str, _Choice] = {}
        self._gone: set[str] = set()
        """Revisions that ECS lists, and launches no more."""
        self._seen: set[tuple[str, str]] = set()
        self._said: set[str] = set()

    # Before a launch

    def settle(self, name: str) -> str:
        """Return the task definition to launch for ``name``; its image is checked, once.

        Raises MisfitError when nothing may be launched, and what botocore raises while that is not known.
        """
        if name.endswith(MATCHING):
            return self._chosen(family_of(name)).name
        if self._mode != OFF:
            self._require(self._checked(name))
        return name

    def examine(self, name: str) -> Checked:
        """Look at the task definition that ``name`` stands for; nothing is warned about. Raises as `settle` does."""
        return self._chosen(family_of(name)) if name.endswith(MATCHING) else self._checked(name)

    def checked(self, name: str) -> Checked | None:
        """What is known of a task definition, by a name or ARN that was looked at."""
        entry = self._entries.get(name)
        return entry.checked if entry else None

    def is_foreign(self, name: str) -> bool:
        """Whether the image of a task definition is known not to be of this project."""
        checked = self.checked(name)
        return checked is not None and checked.report.is_foreign

    def gone(self, name: str) -> bool:
        """ECS does not launch this revision any more; True if it was one that had been chosen here."""
        with self._lock:
            for choice in self._choices.values():
                if choice.checked is not None and choice.checked.name == name:
                    self._gone.add(name)
                    choice.checked = None
                    return True
            return name in self._gone

    def _require(self, checked: Checked) -> None:
        if checked.differs:
            if self._mode == STRICT:
                raise MisfitError("\n".join([*self._misfit(checked), _OVERRULE]))
            self._warn(" ".join(self._misfit(checked)))
        elif not checked.fits:
            self._warn(self._unchecked(checked))

    def _checked(self, name: str) -> Checked:
        """Look at a task definition, unless that has been done. Raises what botocore raises if it may help to wait."""
        with self._lock:
            entry = self._entries.setdefault(name, _Entry())
        with entry.lock:
            known = entry.checked
            if known is None or (known.report.facts is None and self._clock() - known.at > _UNKNOWN_AGE):
                entry.checked = self._look(name)
                if entry.checked.definition is not None:
                    with self._lock:
                        self._entries.setdefault(entry.checked.definition.arn, entry)
            assert entry.checked is not None
            return entry.checked

    def _look(self, name: str) -> Checked:
        try:
            document = self._ecs.describe_definition(name)
        except Exception as exception:
            error = classify(exception)
            if error.trouble is not Trouble.HOPELESS:
                raise
            report = ImageReport("", error=error.reason, action=error.action)
            return Checked(name, None, report, self._clock())
        definition = read_definition(document, self._container_name)
        if definition.image:
            report = check_image(self._images, definition.image, self._versions, definition.platform)
        else:
            report = ImageReport("", error=f"it has no container {self._container_name!r}")
        return Checked(name, definition, report, self._clock())

    # Choosing a revision

    def _chosen(self, family: str) -> Checked:
        with self._lock:
            choice = self._choices.setdefault(family, _Choice())
        former = choice.checked
        if former is not None and self._clock() - choice.at < _CHOICE_AGE:
            return former
        # One thread looks for a newer revision; the others go on with what they have, if they have anything.
        if not choice.lock.acquire(blocking=former is None):
            assert former is not None
            return former
        try:
            chosen = choice.checked
            if chosen is None or self._clock() - choice.at >= _CHOICE_AGE:
                chosen = choice.checked = self._look_for(family, chosen)
                choice.at = self._clock()
            return chosen
        finally:
            choice.lock.release()

    def _look_for(self, family: str, former: Checked | None) -> Checked:
        passed: list[Checked] = []
        try:
            chosen = self._newest_that_fits(family, passed)
        except MisfitError:
            raise
        except Exception as exception:
            error = classify(exception)
            if former is not None:
                self._warn(f"No newer revision of {family} could be looked for: {error.reason}")
                return former
            if error.trouble is not Trouble.HOPELESS:
                raise
            allow = f" Allow {error.action}, or name a revision." if error.action else ""
            raise MisfitError(f"No revision of {family} can be chosen: {error.reason}.{allow}") from None
        if former is None or former.name != chosen.name:
            self._say_choice(family, chosen, passed)
        return chosen

    def _newest_that_fits(self, family: str, passed: list[Checked]) -> Checked:
        """The newest active revision that fits, else the newest that could not be looked at."""
        for arn in self._ecs.active_revisions(family):
            if arn in self._gone:
                continue
            checked = self._checked(arn)
            if checked.fits:
                return checked
            passed.append(checked)
            if len(passed) == _MOST_REVISIONS:
                break
        unknown = [checked for checked in passed if not checked.differs]
        if unknown:
            return unknown[0]
        if passed and self._mode != STRICT:
            return passed[0]
        raise MisfitError(self._none_fits(family, passed))

    def _say_choice(self, family: str, chosen: Checked, passed: list[Checked]) -> None:
        newer = [checked for checked in passed if checked is not chosen]
        others = "; ".join(f"{_title(checked)}: {_finding(checked)}" for checked in newer)
        if chosen.fits:
            others = f". Newer ones do not: {others}" if others else ""
            log.info("Tasks run %s, the newest active revision whose image fits%s", _title(chosen), others)
        elif chosen.differs:
            self._warn(f"No active revision of {family} fits; tasks run the newest, {_title(chosen)}. {others}")
        else:
            self._warn(f"No active revision of {family} is known to fit. {self._unchecked(chosen)}")

    def _none_fits(self, family: str, passed: list[Checked]) -> str:
        if not passed:
            return f"The family {family} has no active revision: register one (aws ecs register-task-definition)."
        newest = passed[0]
        found = "\n".join(f"    {_title(checked)}: {_finding(checked)}" for checked in passed[:5])
        return (
            f"No active revision of {family} has an image that fits this scheduler (Airflow {self._versions.airflow}, "
            f"Python {self._versions.python}):\n{found}\n{self._remedy(newest)}\n{_OVERRULE}"
        )

    # What ECS runs

    def seen(self, task: Mapping[str, Any]) -> None:
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
                self._warn(" ".join(self._misfit(checked)))
        except Exception as exception:
            log.info("The image that %s runs was not checked: %s", name, classify(exception).reason)

    def _drifted(self, checked: Checked, definition: TaskDefinition, digest: str) -> None:
        image = f"{repository_of(definition.image)}@{digest}"
        report = check_image(self._images, image, self._versions, definition.platform)
        found = {
            Outcome.FITS: "It fits as well",
            Outcome.DIFFERS: f"It does not fit: {differences(report)}",
            Outcome.UNKNOWN: f"Whether it fits is not known: {unknowns(report)}",
        }[report.outcome]
        self._warn(
            f"{_title(checked)} runs another image than was checked: {definition.image} is {digest} now, and was "
            f"{', '.join(sorted(checked.report.digests))}. {found}. Register task definitions with a tag that is never "
            "moved, or with the digest."
        )

    # Words

    def _misfit(self, checked: Checked) -> list[str]:
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


def _finding(checked: Checked) -> str:
    return differences(checked.report) if checked.differs else unknowns(checked.report)
