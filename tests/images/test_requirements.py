"""Requirements are installed without moving Airflow, or the build fails and names the line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.images.conftest import Builder
from tests.images.product import OLD_WORKER, PRODUCTS, WORKER, build_flags, build_py

PAIR = ("--airflow", "2.10.5", "--python", "3.11")


def test_constraints_of_the_image_decide_versions(built: Builder, inside: Callable[..., Any]) -> None:
    """`packaging` without a version stays what Airflow was tested with, and `cowsay` is what was asked for."""
    packages = inside(built(PRODUCTS[OLD_WORKER])).pip.get_packages()
    bare = inside(built(PRODUCTS[WORKER])).pip.get_packages()
    assert packages["cowsay"]["version"] == "6.1"
    assert packages["apache-airflow"]["version"] == "2.10.5"
    assert packages["packaging"]["version"] == bare["packaging"]["version"]


@pytest.mark.parametrize(
    ("requirement", "flags", "code", "said"),
    [
        ("apache-airflow==2.11.2", (), 7, ["requirements.txt:2", "apache-airflow==2.11.2", "2.10.5"]),
        ("apache-airflow-task-sdk==1.0.6", ("--constraints", "none"), 13, ["would change Airflow 2.10.5"]),
        ("apache-airflow-providers-amazon==9.30.0", ("--constraints", "none"), 13, ["would change Airflow 2.10.5"]),
        ("packaging==20.0", (), 13, ["packaging==20.0", "--constraints"]),
        ("no-such-package-of-anybody==1.0", (), 13, ["no-such-package-of-anybody"]),
    ],
    ids=["by name", "its SDK", "by a dependency", "against the constraints", "unknown"],
)
def test_a_requirement_that_cannot_be_had_fails_the_build(
    requirement: str,
    flags: tuple[str, ...],
    code: int,
    said: list[str],
    worker: str,
    tmp_path: Path,
    client: docker.DockerClient,
    scratch_tag: str,
) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text(f"cowsay\n{requirement}\n")
    done = build_py(*PAIR, "--dags", "none", "--requirements", file, *flags, "--tag", scratch_tag, *build_flags())
    assert done.returncode == code, done.stderr
    last = done.stderr[done.stderr.index("build.py: error:") :]
    for word in said:
        assert word in last
    assert "Traceback" not in done.stderr
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get(scratch_tag)


def test_constraints_of_the_user(tmp_path: Path, scratch_tag: str, worker: str, inside: Callable[..., Any]) -> None:
    (tmp_path / "requirements.txt").write_text("cowsay\n")
    (tmp_path / "constraints.txt").write_text("cowsay==6.0\napache-airflow==1.10.15\n")
    done = build_py(
        *(*PAIR, "--dags", "none", "--tag", scratch_tag, *build_flags()),
        *("--requirements", tmp_path / "requirements.txt", "--constraints", tmp_path / "constraints.txt"),
    )
    assert done.returncode == 0, done.stderr
    packages = inside(scratch_tag).pip.get_packages()
    assert packages["cowsay"]["version"] == "6.0"
    assert packages["apache-airflow"]["version"] == "2.10.5", "a user's constraints do not move Airflow"
