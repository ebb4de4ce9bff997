"""Base images: official ones if Docker Hub can be reached, stand-ins otherwise."""

from __future__ import annotations

from collections.abc import Sequence

from local.errors import BaseImageError
from local.machine.bases import hub, standin
from local.machine.bases.pythons import available_pythons, version_key
from local.machine.bases.standin import Base, is_stand_in
from local.machine.console import say
from local.machine.exclusive import exclusively

__all__ = ["Base", "available_pythons", "ensure_base", "is_stand_in", "usable_python"]


def ensure_base(airflow: str, python: str, flavour: str = "full") -> Base:
    """Make a base image available to the local engine: as it is, pulled, or as a stand-in."""
    base = Base(airflow, python, flavour)
    with exclusively(base.image):
        _ensure(base)
    return base


def _ensure(base: Base) -> None:
    if standin.is_current(base):
        if is_stand_in(base.image):
            say(f"{base.image} is here: a stand-in, not the official image")
        else:
            say(f"{base.image} is here")
        return
    answer = hub.pull(base.image)
    if answer is hub.Answer.ABSENT:
        raise BaseImageError(
            f"Docker Hub has no image {base.image}. See https://hub.docker.com/r/apache/airflow/tags, or give an "
            "Airflow and a Python of the matrix: python build.py matrix"
        )
    if answer is hub.Answer.UNREACHABLE:
        standin.build(base)


def usable_python(airflow: str, preferred: str, others: Sequence[str]) -> str:
    """Return the preferred Python if its base image is available, else the newest one for a stand-in."""
    base = Base(airflow, preferred)
    if preferred in available_pythons() or standin.is_current(base):
        return preferred
    if hub.pull(base.image) is not hub.Answer.UNREACHABLE:
        return preferred
    possible = [python for python in others if python in available_pythons()]
    if not possible:
        raise BaseImageError(
            f"Docker Hub cannot be reached, and no Python that Airflow {airflow} runs on ({', '.join(others)}) is "
            f"here for a stand-in. Here are: {', '.join(available_pythons())}."
        )
    newest = max(possible, key=version_key)
    say(
        f"Python {preferred}, the default of Airflow {airflow}, is not here for a stand-in: taking Python {newest}. "
        f"Others: {', '.join(possible)}"
    )
    return newest
