"""The comparison of an image with the expected versions, and the command that builds a compatible one. Pure."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Mapping

from airflow_ecs_executor.aws.task_definition import Platform
from airflow_ecs_executor.image_check.facts import ImageFacts

CONTRACTS = ("1",)
"""The versions of the image contract (docs/image-contract.md) that this executor supports."""


class Fit(Enum):
    """Whether an image is compatible."""

    COMPATIBLE = "fits"
    INCOMPATIBLE = "differs"
    UNKNOWN = "unknown"


EXIT_CODES: Mapping[Fit, int] = {
    Fit.COMPATIBLE: 0,
    Fit.INCOMPATIBLE: 18,
    Fit.UNKNOWN: 19,
}
"""Of the commands that check an image, including those of build.py."""


@dataclass(frozen=True)
class Versions:
    """The expected versions: ``airflow`` exactly, ``python`` by major and minor version."""

    airflow: str
    python: str

    @classmethod
    def of(cls, airflow: str, python: str) -> Versions:
        """Read versions such as ``3.3.2``, and ``3.12`` or ``3.12.4``. Raises ValueError."""
        if not re.fullmatch(r"\d+(\.\d+){2}\S*", airflow):
            raise ValueError(f"Airflow {airflow!r} is not a valid version such as 3.3.2")
        if not re.fullmatch(r"3\.\d+(\.\d+)?", python):
            raise ValueError(f"Python {python!r} is not a valid version such as 3.12")
        return cls(airflow, ".".join(python.split(".")[:2]))


@dataclass(frozen=True)
class Comparison:
    """One expected and one actual value; an empty ``image`` is not known."""

    name: str
    image: str
    expected: str

    @property
    def outcome(self) -> Fit:
        """Whether both are equal."""
        if not self.image:
            return Fit.UNKNOWN
        return Fit.COMPATIBLE if self.image == self.expected else Fit.INCOMPATIBLE


@dataclass(frozen=True)
class ImageReport:
    """The result of a check of one image; ``facts`` is None if the image could not be read."""

    image: str
    comparisons: tuple[Comparison, ...] = ()
    facts: ImageFacts | None = field(default=None, hash=False)
    digests: frozenset[str] = frozenset()
    """The digests by which ECS may name the image."""
    error: str = ""
    """Why the image could not be read."""
    action: str = ""
    """The IAM action that would have allowed it, if that was the reason."""

    @property
    def outcome(self) -> Fit:
        """INCOMPATIBLE if something differs, even if something else is not known."""
        outcomes = {item.outcome for item in self.comparisons} or {Fit.UNKNOWN}
        return next(outcome for outcome in (Fit.INCOMPATIBLE, Fit.UNKNOWN, Fit.COMPATIBLE) if outcome in outcomes)

    def of(self, outcome: Fit) -> list[Comparison]:
        """Return the comparisons with an outcome."""
        return [item for item in self.comparisons if item.outcome is outcome]

    @property
    def is_foreign(self) -> bool:
        """Whether it is known not to be an image of this project, so that exit codes and pointers have no meaning."""
        return self.facts is not None and not self.facts.contract


def compare(
    image: str, facts: ImageFacts, digests: frozenset[str], versions: Versions, platform: Platform | None
) -> ImageReport:
    """Compare an image with the expected versions; ``platform`` is None for any."""
    comparisons = [
        Comparison("Airflow", _public(facts.airflow), _public(versions.airflow)),
        Comparison("Python", facts.python, versions.python),
    ]
    if platform is not None:
        comparisons.append(Comparison("CPU architecture", facts.architecture, platform.architecture))
    if facts.contract:  # other images can run tasks as well
        known = facts.contract in CONTRACTS
        comparisons.append(Comparison("image contract", facts.contract, facts.contract if known else CONTRACTS[-1]))
    return ImageReport(image, tuple(comparisons), facts, digests)


def lacks_platform(image: str, platform: Platform, has: tuple[str, ...]) -> ImageReport:
    """Return the report on an image that exists only for other platforms."""
    return ImageReport(image, (Comparison("CPU architecture", ", ".join(has) or "none", platform.architecture),))


def _public(version: str) -> str:
    """Return a version without its local part (``+…``), which marks a company's own builds (PEP 440)."""
    return version.partition("+")[0]


def build_command(report: ImageReport, versions: Versions, platform: Platform | None) -> str:
    """Return the command that builds and pushes a compatible image."""
    command = ["python", "build.py", "--airflow", _public(versions.airflow), "--python", versions.python]
    command += ["--dags", (report.facts.dags if report.facts else "") or "s3"]
    if platform is not None and platform.os == "linux":
        command += ["--platform", f"linux/{platform.architecture}"]
    if report.image:
        command += ["--repository", repository_of(report.image)]
    return " ".join(shlex.quote(part) for part in [*command, "--push"])


def repository_of(image: str) -> str:
    """Return the name of an image without its tag and digest."""
    name = image.partition("@")[0]
    return name.rpartition(":")[0] if ":" in name.rpartition("/")[2] else name


def differences(report: ImageReport) -> str:
    """Return what differs, in words."""
    found = report.of(Fit.INCOMPATIBLE)
    return "; ".join(f"{item.name}: the image has {item.image}, expected {item.expected}" for item in found)


def unknowns(report: ImageReport) -> str:
    """Return what is not known, in words."""
    if report.facts is None:
        return report.error
    names = " and ".join(item.name for item in report.of(Fit.UNKNOWN))
    return f"nothing in it says which {names} it has"


def as_text(report: ImageReport) -> str:
    """Return the report as a table."""
    rows = [("image", report.image or "-", "")]
    for item in report.comparisons:
        remark = {
            Fit.COMPATIBLE: "",
            Fit.INCOMPATIBLE: f"expected {item.expected}",
            Fit.UNKNOWN: "not known",
        }
        rows.append((item.name, item.image or "-", remark[item.outcome]))
    if report.error:
        rows.append(("not checked", report.error, ""))
    lines = [f"  {name:<16}  {found}{f'  <- {remark}' if remark else ''}" for name, found, remark in rows]
    return "\n".join([report.outcome.value, *lines])


def as_json(report: ImageReport) -> Mapping[str, Any]:
    """Return the report as plain data."""
    return {
        "image": report.image,
        "outcome": report.outcome.value,
        "comparisons": [
            {"name": item.name, "image": item.image, "wanted": item.expected, "outcome": item.outcome.value}
            for item in report.comparisons
        ],
        "digests": sorted(report.digests),
        "error": report.error,
    }
