"""Every image keeps the image contract (docs/image-contract.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import docker
import pytest

from tests.images.conftest import Builder
from tests.images.product import (
    BAKED,
    BARE,
    EVERYTHING,
    NEW_SLIM,
    PRODUCTS,
    SLIM,
    WORKER,
    Product,
    each,
)

Run = Callable[..., tuple[int, str]]
Inside = Callable[..., Any]

UNCOMPILED = """
import importlib.util, os, sys
for name in sys.argv[1:]:
    source = importlib.util.find_spec(name).origin
    header = open(importlib.util.cache_from_source(source), "rb").read(12)
    flags, stamp = (int.from_bytes(header[place:place + 4], "little") for place in (4, 8))
    if not (flags == 3 or flags == 0 and stamp == int(os.stat(source).st_mtime)):
        print(name)
"""
# Nothing is compiled when a container starts, neither Airflow nor the standard library.
MODULES = ("airflow", "sqlalchemy.orm", "json", "asyncio", "botocore.session", "airflow_ecs_entrypoint")


@pytest.mark.parametrize("product", each((*PRODUCTS, SLIM)))
def test_labels_and_settings(product: Product, built: Builder, client: docker.DockerClient) -> None:
    config = client.images.get(built(product)).attrs["Config"]
    labels, environment = config["Labels"], dict(item.split("=", 1) for item in config["Env"])
    assert labels["org.opencontainers.image.title"] == "airflow-ecs-worker"
    assert labels["org.opencontainers.image.version"] == product.identifier
    assert labels["org.opencontainers.image.base.name"].startswith("apache/airflow:")
    assert labels["org.opencontainers.image.created"].endswith("Z")
    assert len(labels["org.opencontainers.image.revision"]) == 40
    assert labels["io.airflow-ecs.contract"] == "1"
    assert labels["io.airflow-ecs.airflow"] == product.airflow
    assert labels["io.airflow-ecs.python"] == product.python
    assert labels["io.airflow-ecs.dags"] == product.mode == environment["AIRFLOW_ECS_DAGS"]
    assert environment["CONTAINER_DAG_PATH"] == product.container_dag_path
    assert product.environment.items() <= environment.items()
    of_aws = {name for name in environment if name.startswith("AWS_")}
    assert of_aws <= set(product.environment), "no credentials of whoever built it, and no empty variable"
    assert "io.airflow-ecs.insecure" not in labels


@pytest.mark.parametrize("product", each((*PRODUCTS, SLIM)))
def test_what_is_inside(product: Product, built: Builder, inside: Inside) -> None:
    host = inside(built(product))
    assert host.run("id -u; id -g").stdout.split() == ["50000", "0"]
    assert host.run("tr '\\0' ' ' < /proc/1/cmdline").stdout.startswith("/usr/bin/dumb-init -- ")
    settings = host.run("grep -v '^#' /opt/airflow/airflow.cfg").stdout.strip()
    assert bool(settings) == ("--airflow-cfg" in product.flags), "a build step left settings behind"
    for path in (product.container_dag_path, "/opt/airflow/logs", "/opt/airflow/plugins", "/opt/airflow/config"):
        folder = host.file(path)
        assert folder.is_directory and folder.gid == 0 and folder.mode & 0o070 == 0o070, path
    aws = host.file("/usr/local/bin/aws")
    assert (aws.exists and aws.linked_to == "/opt/aws-cli/bin/aws") == product.aws_cli
    packages = host.pip.get_packages()
    assert "airflow-ecs-entrypoint" in packages and "awscli" not in packages, "it is away from Airflow's packages"
    assert packages["apache-airflow"]["version"] == product.airflow
    assert {f"{name}=={packages[name]['version']}" for name in ("cowsay",) if name in packages} == set(product.packages)
    assert host.check_output("python --version").startswith(f"Python {product.python}.")
    assert host.check_output("python -c %s " + " ".join(MODULES), UNCOMPILED) == ""


def test_commands_mean_what_they_mean_in_the_official_image(worker: str, run: Run) -> None:
    """`version` ran in every image when it was verified."""
    code, output = run(worker, "airflow", "version")
    assert (code, output.strip().splitlines()[-1]) == (0, WORKER.airflow)
    assert run(worker, "bash", "-c", "exit 7")[0] == 7
    code, output = run(worker)
    assert code != 0 and "GROUP_OR_COMMAND" in output


def test_images_that_differ_in_dag_mode_share_every_other_layer(built: Builder, client: docker.DockerClient) -> None:
    loading, baked, bare = (
        client.images.get(built(product)).attrs["RootFS"]["Layers"] for product in (WORKER, BAKED, BARE)
    )
    assert loading == bare
    assert baked[: len(loading)] == loading
    assert len(baked) == len(loading) + 1, "the DAGs alone are on top"


def test_any_uid_with_gid_0_works(worker: str, run: Run) -> None:
    code, output = run(worker, "bash", "-c", "id -u && echo $HOME && touch /opt/airflow/dags/x", user="12345:0")
    assert code == 0, output
    assert output.split()[-2:] == ["12345", "/home/airflow"]


def test_options_written_into_the_image(built: Builder, inside: Inside, client: docker.DockerClient) -> None:
    host = inside(built(EVERYTHING))
    assert host.check_output("airflow config get-value core default_timezone").endswith("Europe/Berlin")
    assert host.package("jq").is_installed and host.package("tree").is_installed
    assert "greeting" in host.check_output("airflow plugins")
    settings = host.check_output("python -c 'import airflow, company_settings; print(company_settings.ANSWER)'")
    assert settings.splitlines()[-1] == "42"
    assert client.images.get(EVERYTHING.reference).labels["com.example.team"] == "data"
    assert "#1 " in built.output(EVERYTHING), "--progress plain shows Buildx's own lines"


def test_constraints_of_the_image_decide_versions(built: Builder, run: Run, client: docker.DockerClient) -> None:
    """`packaging` without a version stays what Airflow was tested with."""
    ours = built(NEW_SLIM)
    base = client.images.get(ours).labels["org.opencontainers.image.base.name"]
    version = ("python", "-c", "import importlib.metadata as m; print(m.version('packaging'))")
    found = {run(image, entrypoint=list(version))[1].splitlines()[-1] for image in (ours, base)}
    assert len(found) == 1
