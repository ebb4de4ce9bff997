"""No secret is in an image, and `verify` finds the ones that somebody put there."""

from __future__ import annotations

from collections.abc import Callable

import docker
import pytest

from tests.images.conftest import SMALL
from tests.images.product import build_py
from tests.releases import NEWEST_2, NEWEST_3

# Made of two halves: no scanner should take this file for a leak.
KEY_ID = "AKIA" + "Z7QMXW2RTPLK4NVB"
SECRET_KEY = "wJ4rXUtn" + "FEMIK7MDENGbPxRfiCYzzzzzzzzKEYab"

# What somebody writes below `FROM`, and what `verify` must say of it.
LEAKS = {
    f"ENV AWS_ACCESS_KEY_ID={KEY_ID}": "ENV AWS_ACCESS_KEY_ID",
    "ENV AIRFLOW__API_AUTH__JWT_SECRET=abcdef": "ENV AIRFLOW__API_AUTH__JWT_SECRET",
    f"RUN echo {KEY_ID} > /dev/null": "history, step",
    f'RUN echo \'key = "{KEY_ID[:4]}\'"{KEY_ID[4:]}" > /opt/airflow/notes.txt': "/opt/airflow/notes.txt",
    # Deleted in a later layer, and still there for everybody who pulls the image.
    "RUN printf '[core]\\nfernet_key = abc\\n' > /opt/airflow/old.d/airflow.cfg": "old.d/airflow.cfg: core.fernet_key",
}
LIE = f'LABEL io.airflow-ecs.airflow="{NEWEST_3.version}"'


def test_verify_finds_secrets_in_env_history_and_layers_and_a_label_that_lies(
    small_worker: str, dockerfile: Callable[[str], str]
) -> None:
    lines = [f"FROM {small_worker}", "RUN mkdir /opt/airflow/old.d", *LEAKS, "RUN rm -r /opt/airflow/old.d", LIE]
    done = build_py("verify", dockerfile("\n".join(lines) + "\n"))
    assert done.returncode == 14, done.stdout + done.stderr
    assert "WRONG" in done.stderr
    for where in LEAKS.values():
        assert where in done.stderr
    assert KEY_ID not in done.stderr, "the secret itself is never shown"
    assert NEWEST_3.version in done.stderr and NEWEST_2.version in done.stderr


def test_verify_of_an_image_that_is_not_ours(small_base: str) -> None:
    done = build_py("verify", small_base)
    assert done.returncode == 14
    assert "io.airflow-ecs.contract" in done.stderr and "Traceback" not in done.stderr


def test_verify_of_an_image_that_does_not_exist() -> None:
    done = build_py("verify", "localhost:9/no/such-image:1")
    assert done.returncode == 17 and "no image localhost:9/no/such-image:1" in done.stderr


@pytest.mark.usefixtures("small_base")
def test_credentials_are_baked_in_with_the_insecure_flag(scratch_tag: str, client: docker.DockerClient) -> None:
    """Only with it: every image under test is built by somebody who has credentials (test_contract.py)."""
    keys = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    flags = (*SMALL, "--dags", "none", "--tag", scratch_tag, "--insecure-bake-aws-credentials")
    done = build_py(*flags, environment=keys)
    assert done.returncode == 0, "verified, as asked for and announced by the label: " + done.stderr
    assert "WARNING" in done.stderr and SECRET_KEY not in done.stderr and KEY_ID not in done.stderr
    config = client.images.get(scratch_tag).attrs["Config"]
    assert f"AWS_ACCESS_KEY_ID={KEY_ID}" in config["Env"]
    assert not any(item.startswith("AWS_SESSION_TOKEN") for item in config["Env"]), "no empty AWS variable"
    assert config["Labels"]["io.airflow-ecs.insecure"] == "aws-credentials"
