"""A requirement that would move Airflow fails the build, and the message names it.

What pip's account of a conflict stands for is tested without an engine, in tests/unit/images/test_steps.py.
"""

from __future__ import annotations

from pathlib import Path

import docker
import pytest

from tests.images.conftest import SMALL
from tests.images.product import build_py

AIRFLOW = SMALL[3]


@pytest.mark.usefixtures("small_base")
def test_a_requirement_that_cannot_be_had_fails_the_build(
    tmp_path: Path, client: docker.DockerClient, scratch_tag: str
) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("cowsay\napache-airflow-providers-fab==3.0.0\n")
    done = build_py(*SMALL, "--dags", "none", "--requirements", file, "--constraints", "none", "--tag", scratch_tag)
    assert done.returncode == 13, done.stderr
    last = done.stderr[done.stderr.index("build.py: error:") :]
    assert f"would change Airflow {AIRFLOW}" in last and "apache-airflow-providers-fab" in last
    assert "Traceback" not in done.stderr
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get(scratch_tag)
