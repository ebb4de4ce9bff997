"""What people are told about the image of a task definition: what is wrong with it, and what to do. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

from airflow_ecs_executor.aws.task_definition import TaskDefinition
from airflow_ecs_executor.image_check.comparison import (
    Fit,
    ImageReport,
    Versions,
    build_command,
    differences,
    unknowns,
)

_SHOWN_REVISIONS = 5


@dataclass(frozen=True)
class CheckedDefinition:
    """A task definition, with the report on its image."""

    name: str
    """The name or ARN by which it was checked."""
    definition: TaskDefinition | None
    """None if it could not be described."""
    report: ImageReport
    exception: Exception | None = None
    """What botocore raised if it could not be described."""

    @property
    def title(self) -> str:
        """``family:revision``, or the name by which it was checked."""
        return self.definition.name if self.definition else self.name

    @property
    def is_compatible(self) -> bool:
        """Whether everything is known, and as expected."""
        return self.report.outcome is Fit.COMPATIBLE

    @property
    def is_incompatible(self) -> bool:
        """Whether something is known to differ."""
        return self.report.outcome is Fit.INCOMPATIBLE


@dataclass(frozen=True)
class Messages:
    """The messages of a scheduler with ``versions``, whose tasks run in the container ``container_name``."""

    versions: Versions
    container_name: str

    def incompatible(self, checked: CheckedDefinition) -> list[str]:
        """Return what is wrong with an image, where it was found, and what to do."""
        return [
            f"The image is incompatible with this scheduler. {differences(checked.report)}.",
            f"The image is {checked.report.image}, of the container {self.container_name!r} in the task definition "
            f"{checked.title}.",
            self.remedy(checked),
        ]

    def remedy(self, checked: CheckedDefinition) -> str:
        """Return what to do about an incompatible image."""
        platform = checked.definition.platform if checked.definition else None
        command = build_command(checked.report, self.versions, platform)
        return f"Build and push a compatible image, and register it as a new revision: {command}"

    def unchecked(self, checked: CheckedDefinition) -> str:
        """Return why an image was not checked, and what would allow it."""
        allow = f" Allow {checked.report.action} to have it checked." if checked.report.action else ""
        image = f"The image {checked.report.image} of " if checked.report.image else ""
        text = f"{image}{checked.title} was not checked against this scheduler: {unknowns(checked.report)}"
        return f"{text.rstrip('.')}.{allow}"

    def advice(self, checked: CheckedDefinition) -> list[str]:
        """Return what to do about an image that is incompatible or was not checked; otherwise nothing."""
        if checked.is_incompatible:
            return [self.remedy(checked)]
        return [] if checked.is_compatible else [self.unchecked(checked)]

    def none_compatible(self, family: str, rejected: Sequence[CheckedDefinition]) -> str:
        """Return that no revision can be chosen, why, and what to do."""
        found = "\n".join(f"    {finding}" for finding in findings(rejected))
        return (
            f"No active revision of {family} has an image that is compatible with this scheduler (Airflow "
            f"{self.versions.airflow}, Python {self.versions.python}):\n{found}\n{self.remedy(rejected[0])}"
        )

    def choice(self, family: str, chosen: CheckedDefinition, rejected: Sequence[CheckedDefinition]) -> str:
        """Return which revision is chosen, and why no newer one is."""
        found = "; ".join(findings(rejected))
        if chosen.is_compatible:
            others = f". Newer ones are not: {found}" if found else ""
            return f"Tasks run {chosen.title}, the newest active revision whose image is compatible{others}"
        if chosen.is_incompatible:
            return (
                f"No active revision of {family} is compatible; tasks run the newest, {chosen.title}. {found}. "
                f"{self.remedy(chosen)}"
            )
        return f"No active revision of {family} is known to be compatible. {self.unchecked(chosen)}"


def moved(checked: CheckedDefinition, digest: str, report: ImageReport) -> str:
    """Return that a task runs another image than was checked; ``report`` is about the image that it runs."""
    found = {
        Fit.COMPATIBLE: "It is compatible as well",
        Fit.INCOMPATIBLE: f"It is incompatible: {differences(report)}",
        Fit.UNKNOWN: f"Whether it is compatible is not known: {unknowns(report)}",
    }[report.outcome]
    return (
        f"{checked.title} runs another image than was checked: {checked.report.image} is {digest} now, and was "
        f"{', '.join(sorted(checked.report.digests))}. {found}. Register task definitions with a tag that is never "
        "moved, or with the digest."
    )


def findings(rejected: Sequence[CheckedDefinition]) -> list[str]:
    """Return why the newest few revisions are not chosen."""
    return [
        f"{checked.title}: {differences(checked.report) if checked.is_incompatible else unknowns(checked.report)}"
        for checked in rejected[:_SHOWN_REVISIONS]
    ]
