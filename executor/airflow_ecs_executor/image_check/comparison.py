"""An image beside what it has to fit: what differs, what cannot be told, and the command that builds the right one.

Pure.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Mapping

from airflow_ecs_executor.aws.task_definition import Platform
from airflow_ecs_executor.image_check.facts import ImageFacts

CONTRACTS = ("1",)
"""Versions of the image contract (docs/image-contract.md) that this executor knows."""


class Fit(Enum):
    """Whether an image fits."""

    COMPATIBLE = "fits"
    INCOMPATIBLE = "differs"
    UNKNOWN = "unknown"


EXIT_CODES: Mapping[Fit, int] = {
    Fit.COMPATIBLE: 0,
    Fit.INCOMPATIBLE: 18,
    Fit.UNKNOWN: 19,
}
"""Of the commands that check an image; the same as build.py's (images/errors.py)."""


@dataclass(frozen=True)
class Versions:
    """What the image has to have: ``airflow`` exactly, ``python`` by major and minor version."""

    airflow: str
    python: str

    @classmethod
    def of(cls, airflow: str, python: str) -> Versions:
        """The versions as people write them: ``3.3.2`` and ``3.12`` or ``3.12.4``. Raises ValueError."""
        if not re.fullmatch(r"\d+(\.\d+){2}\S*", airflow):
            raise ValueError(f"Airflow {airflow!r} is no version, such as 3.3.2")
        if not re.fullmatch(r"3\.\d+(\.\d+)?", python):
            raise ValueError(f"Python {python!r} is no version, such as 3.12")
        return cls(airflow, ".".join(python.split(".")[:2]))


@dataclass(frozen=True)
class Comparison:
    """One thing that has to be the same; an empty text is not known."""

    name: str
    image: str
    wanted: str

    @property
    def outcome(self) -> Fit:
        """Whether both are the same."""
        if not self.image:
            return Fit.UNKNOWN
        return Fit.COMPATIBLE if self.image == self.wanted else Fit.INCOMPATIBLE


@dataclass(frozen=True)
class ImageReport:
    """What a look at an image has shown.

    ``facts`` are None, and ``error`` says why, if it could not be looked at; ``action`` is then the IAM action that
    would have allowed it, if that was the reason. ``digests`` are those by which ECS may call the image.
    """

    image: str
    comparisons: tuple[Comparison, ...] = ()
    facts: ImageFacts | None = field(default=None, hash=False)
    digests: frozenset[str] = frozenset()
    error: str = ""
    action: str = ""

    @property
    def outcome(self) -> Fit:
        """A difference counts, whatever else is not known."""
        outcomes = {item.outcome for item in self.comparisons} or {Fit.UNKNOWN}
        return next(outcome for outcome in (Fit.INCOMPATIBLE, Fit.UNKNOWN, Fit.COMPATIBLE) if outcome in outcomes)

    def of(self, outcome: Fit) -> list[Comparison]:
        """The comparisons that came out so."""
        return [item for item in self.comparisons if item.outcome is outcome]

    @property
    def is_foreign(self) -> bool:
        """Whether it is known not to be an image of this project: exit codes and pointers mean nothing to it."""
        return self.facts is not None and not self.facts.contract


def compare(
    image: str, facts: ImageFacts, digests: frozenset[str], versions: Versions, platform: Platform | None
) -> ImageReport:
    """Compare an image with what it has to fit; ``platform`` None: any."""
    comparisons = [
        Comparison("Airflow", _public(facts.airflow), _public(versions.airflow)),
        Comparison("Python", facts.python, versions.python),
    ]
    if platform is not None:
        comparisons.append(Comparison("CPU architecture", facts.architecture, platform.architecture))
    if facts.contract:  # an image that is not ours promises nothing, and can run a task all the same
        known = facts.contract in CONTRACTS
        comparisons.append(Comparison("image contract", facts.contract, facts.contract if known else CONTRACTS[-1]))
    return ImageReport(image, tuple(comparisons), facts, digests)


def lacks_platform(image: str, platform: Platform, has: tuple[str, ...]) -> ImageReport:
    """The report of an image that exists for other platforms alone."""
    return ImageReport(image, (Comparison("CPU architecture", ", ".join(has) or "none", platform.architecture),))


def _public(version: str) -> str:
    """A version without its local part (``+…``), with which companies mark builds of their own (PEP 440)."""
    return version.partition("+")[0]


def build_command(report: ImageReport, versions: Versions, platform: Platform | None) -> str:
    """The command that builds and pushes the image that fits."""
    command = ["python", "build.py", "--airflow", _public(versions.airflow), "--python", versions.python]
    command += ["--dags", (report.facts.dags if report.facts else "") or "s3"]
    if platform is not None and platform.os == "linux":
        command += ["--platform", f"linux/{platform.architecture}"]
    if report.image:
        command += ["--repository", repository_of(report.image)]
    return " ".join(shlex.quote(part) for part in [*command, "--push"])


def repository_of(image: str) -> str:
    """An image's name without tag and digest."""
    name = image.partition("@")[0]
    return name.rpartition(":")[0] if ":" in name.rpartition("/")[2] else name


def differences(report: ImageReport) -> str:
    """What differs, in words."""
    found = report.of(Fit.INCOMPATIBLE)
    return "; ".join(f"{item.name}: the image has {item.image}, needed is {item.wanted}" for item in found)


def unknowns(report: ImageReport) -> str:
    """What is not known, in words."""
    if report.facts is None:
        return report.error
    names = " and ".join(item.name for item in report.of(Fit.UNKNOWN))
    return f"nothing in it says which {names} it has"


def as_text(report: ImageReport) -> str:
    """The report as a table, a line each."""
    rows = [("image", report.image or "-", "")]
    for item in report.comparisons:
        remark = {
            Fit.COMPATIBLE: "",
            Fit.INCOMPATIBLE: f"needed is {item.wanted}",
            Fit.UNKNOWN: "not known",
        }
        rows.append((item.name, item.image or "-", remark[item.outcome]))
    if report.error:
        rows.append(("not looked at", report.error, ""))
    lines = [f"  {name:<16}  {found}{f'  <- {remark}' if remark else ''}" for name, found, remark in rows]
    return "\n".join([report.outcome.value, *lines])


def as_json(report: ImageReport) -> Mapping[str, Any]:
    """The report as plain data."""
    return {
        "image": report.image,
        "outcome": report.outcome.value,
        "comparisons": [
            {"name": item.name, "image": item.image, "wanted": item.wanted, "outcome": item.outcome.value}
            for item in report.comparisons
        ],
        "digests": sorted(report.digests),
        "error": report.error,
    }
