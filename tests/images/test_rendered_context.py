"""`render -o` writes a folder that `docker build` alone builds, with the reference's build arguments."""

from __future__ import annotations

import shutil
from pathlib import Path

import docker
import pytest

from local.machine.image_build import trust
from tests.images.conftest import SMALL, Builder, docker_build
from tests.images.product import PROJECT, WORKER, build_py

ARGUMENTS = {
    "aws_default_region": "eu-west-3",
    "host_dag_path": "other",
    "container_dag_path": "/data/dags",
    "requirements_path": "needs.txt",
    "s3_uri": "s3://my-bucket/dags",
}


def build_rendered(context: Path, tag: str, **arguments: str) -> None:
    """Build with the plain Docker client."""
    given = [f"--build-arg={name}={value}" for name, value in arguments.items()]
    docker_build(context, tag, *trust("--secret", "id=ca-bundle,src={}"), *given)


@pytest.mark.usefixtures("small_base")
def test_a_local_image_with_the_references_build_arguments(
    scratch_tag: str, client: docker.DockerClient, tmp_path: Path
) -> None:
    context = tmp_path / "context"
    done = build_py("render", *SMALL[:7], "--dags", "local", "--dag-path", PROJECT, "-o", context)
    assert done.returncode == 0, done.stderr
    shutil.copytree(PROJECT, context / "other")
    (context / "needs.txt").write_text("cowsay==6.1\n")
    build_rendered(context, scratch_tag, **ARGUMENTS)
    environment = client.images.get(scratch_tag).attrs["Config"]["Env"]
    assert {
        "AWS_DEFAULT_REGION=eu-west-3",
        "CONTAINER_DAG_PATH=/data/dags",
        "S3_URI=s3://my-bucket/dags",
    } <= set(environment)
    done = build_py("verify", scratch_tag)
    assert done.returncode == 0 and "WRONG" not in done.stdout, done.stderr
    listing = client.containers.run(
        scratch_tag, ["-c", "ls /data/dags && pip list"], entrypoint=["bash"], remove=True, network_mode="none"
    ).decode()
    assert "project_report.py" in listing and "cowsay" in listing


def test_without_arguments_it_is_the_image_that_build_makes(
    built: Builder, scratch_tag: str, client: docker.DockerClient, tmp_path: Path
) -> None:
    """The same layers: rendering and building cannot drift apart."""
    ours = client.images.get(built(WORKER))
    pair = ("--airflow", WORKER.airflow, "--python", WORKER.python)
    build_py("render", *pair, "--dags", "s3", "-o", tmp_path / "context")
    build_rendered(tmp_path / "context", scratch_tag)
    theirs = client.images.get(scratch_tag)
    assert theirs.attrs["RootFS"] == ours.attrs["RootFS"]
    assert not any(item.startswith(("AWS_", "S3_URI")) for item in theirs.attrs["Config"]["Env"])


@pytest.mark.usefixtures("small_base")
def test_a_change_of_dags_rebuilds_the_last_layer_alone(
    scratch_tag: str, client: docker.DockerClient, tmp_path: Path
) -> None:
    dags = tmp_path / "dags"
    shutil.copytree(PROJECT, dags, ignore=shutil.ignore_patterns("__pycache__"))
    layers = []
    for text in ("first", "second"):
        (dags / "marker.py").write_text(f"# {text}\n")
        flags = ("--dags", "local", "--dag-path", str(dags), "--tag", scratch_tag, "--progress", "plain")
        done = build_py(*SMALL, *flags)
        assert done.returncode == 0, done.stderr
        layers.append(client.images.get(scratch_tag).attrs["RootFS"]["Layers"])
    assert layers[0][:-1] == layers[1][:-1]
    assert layers[0][-1] != layers[1][-1]
    steps = [line for line in done.stderr.splitlines() if " RUN " in line and line.startswith("#")]
    cached = {line.split()[0] for line in done.stderr.splitlines() if line.endswith(" CACHED")}
    assert steps and all(line.split()[0] in cached for line in steps), "no step ran again"
