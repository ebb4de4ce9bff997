"""No secret is in an image, and `verify` finds the ones that somebody put there."""

from __future__ import annotations

from collections.abc import Callable

import docker

from tests.images.product import build_flags, build_py

# Made of two halves: no scanner should take this file for a leak.
KEY_ID = "AKIA" + "Z7QMXW2RTPLK4NVB"
SECRET_KEY = "wJ4rXUtn" + "FEMIK7MDENGbPxRfiCYzzzzzzzzKEYab"

# What somebody writes below `FROM`, and where `verify` must say that it is.
LEAKS = {
    f"ENV AWS_ACCESS_KEY_ID={KEY_ID}": "ENV AWS_ACCESS_KEY_ID",
    "ENV AIRFLOW__API_AUTH__JWT_SECRET=abcdef": "ENV AIRFLOW__API_AUTH__JWT_SECRET",
    f"RUN echo {KEY_ID} > /dev/null": "history, step",
    f'RUN echo \'key = "{KEY_ID[:4]}\'"{KEY_ID[4:]}" > /opt/airflow/notes.txt': "/opt/airflow/notes.txt",
    # Deleted in a later layer, and still there for everybody who pulls the image.
    "RUN printf '[core]\\nfernet_key = abc\\n' > /opt/airflow/old.d/airflow.cfg": "old.d/airflow.cfg: core.fernet_key",
}


def test_verify_finds_secrets_in_env_history_and_layers(worker: str, dockerfile: Callable[[str], str]) -> None:
    lines = [f"FROM {worker}", "RUN mkdir /opt/airflow/old.d", *LEAKS, "RUN rm -r /opt/airflow/old.d"]
    done = build_py("verify", dockerfile("\n".join(lines) + "\n"))
    assert done.returncode == 14, done.stdout + done.stderr
    assert "WRONG" in done.stderr
    for where in LEAKS.values():
        assert where in done.stderr
    assert KEY_ID not in done.stderr, "the secret itself is never shown"


def test_verify_finds_a_label_that_lies(worker: str, dockerfile: Callable[[str], str]) -> None:
    done = build_py("verify", dockerfile(f'FROM {worker}\nLABEL io.airflow-ecs.airflow="2.11.2"\n'))
    assert done.returncode == 14
    assert "2.11.2" in done.stderr and "2.10.5" in done.stderr


def test_verify_of_an_image_that_is_not_ours(worker: str) -> None:
    done = build_py("verify", "apache/airflow:2.10.5-python3.11")
    assert done.returncode == 14
    assert "io.airflow-ecs.contract" in done.stderr and "Traceback" not in done.stderr


def test_verify_of_an_image_that_does_not_exist() -> None:
    done = build_py("verify", "localhost:9/no/such-image:1")
    assert done.returncode == 17 and "no image localhost:9/no/such-image:1" in done.stderr


def test_credentials_are_baked_in_only_with_the_insecure_flag(
    worker: str, scratch_tag: str, client: docker.DockerClient
) -> None:
    keys = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    flags = ("--airflow", "2.10.5", "--python", "3.11", "--dags", "none", "--tag", scratch_tag, *build_flags())

    done = build_py(*flags, environment=keys)
    assert done.returncode == 0, done.stderr
    config = client.images.get(scratch_tag).attrs["Config"]
    assert not any(item.startswith("AWS_") for item in config["Env"])
    assert "io.airflow-ecs.insecure" not in config["Labels"]

    done = build_py(*flags, "--insecure-bake-aws-credentials", environment=keys)
    assert done.returncode == 0, done.stderr
    assert "WARNING" in done.stderr and SECRET_KEY not in done.stderr and KEY_ID not in done.stderr
    config = client.images.get(scratch_tag).attrs["Config"]
    assert f"AWS_ACCESS_KEY_ID={KEY_ID}" in config["Env"]
    assert not any(item.startswith("AWS_SESSION_TOKEN") for item in config["Env"]), "no empty AWS variable"
    assert config["Labels"]["io.airflow-ecs.insecure"] == "aws-credentials"
    assert build_py("verify", scratch_tag).returncode == 0, "asked for and announced by the label"
