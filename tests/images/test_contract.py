"""Every image keeps the image contract (docs/image-contract.md)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import docker
import pytest

from tests.images.conftest import Builder
from tests.images.product import (
    EVERYTHING,
    FAMILIES,
    NEW_SLIM_WORKER,
    NEW_WORKER,
    OLD_WORKER,
    PRODUCTS,
    Product,
    build_py,
)

Run = Callable[..., tuple[int, str]]

every_image = pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS.keys())


@pytest.mark.parametrize("reference", [EVERYTHING, NEW_SLIM_WORKER])
def test_verify_finds_nothing_wrong(reference: str, built: Builder) -> None:
    """`build` has verified every image already; these two once more by the command of their own."""
    done = build_py("verify", built(PRODUCTS[reference]))
    assert done.returncode == 0, done.stderr
    assert "WRONG" not in done.stdout


@pytest.mark.parametrize("reference", [OLD_WORKER, NEW_WORKER, NEW_SLIM_WORKER])
def test_versions_by_the_commands_of_the_official_image(reference: str, built: Builder, run: Run) -> None:
    """`version` ran in every image when it was verified; the other ways to ask, in three."""
    image = built(PRODUCTS[reference])
    airflow, python, _ = PRODUCTS[reference].base
    code, output = run(image, "airflow", "version")
    assert (code, output.strip().splitlines()[-1]) == (0, airflow)
    code, output = run(image, "python", "--version")
    assert code == 0 and output.startswith(f"Python {python}.")
    assert run(image, "bash", "-c", "exit 7")[0] == 7


@every_image
def test_labels_and_settings(product: Product, built: Builder, client: docker.DockerClient) -> None:
    airflow, python, _ = product.base
    config = client.images.get(built(product)).attrs["Config"]
    labels, environment = config["Labels"], dict(item.split("=", 1) for item in config["Env"])
    assert labels["org.opencontainers.image.title"] == "airflow-ecs-worker"
    assert labels["org.opencontainers.image.version"] == product.identifier
    assert labels["org.opencontainers.image.base.name"].startswith("apache/airflow:")
    assert labels["org.opencontainers.image.created"].endswith("Z")
    assert len(labels["org.opencontainers.image.revision"]) == 40
    assert labels["io.airflow-ecs.contract"] == "1"
    assert labels["io.airflow-ecs.airflow"] == airflow
    assert labels["io.airflow-ecs.python"] == python
    assert labels["io.airflow-ecs.dags"] == product.mode == environment["AIRFLOW_ECS_DAGS"]
    assert environment["CONTAINER_DAG_PATH"] == product.container_dag_path
    assert product.environment.items() <= environment.items()
    assert all(value for name, value in environment.items() if name.startswith("AWS_"))


@every_image
def test_what_is_inside(product: Product, built: Builder, inside: Callable[..., Any]) -> None:
    host = inside(built(product))
    user = host.run("id -u; id -g").stdout.split()
    assert user == ["50000", "0"]
    assert host.run("tr '\\0' ' ' < /proc/1/cmdline").stdout.startswith("/usr/bin/dumb-init -- ")
    settings = host.run("grep -v '^#' /opt/airflow/airflow.cfg").stdout.strip()
    assert bool(settings) == ("--airflow-cfg" in product.flags), "a build step left settings behind"
    for folder in (product.container_dag_path, "/opt/airflow/logs", "/opt/airflow/plugins", "/opt/airflow/config"):
        assert host.file(folder).is_directory
        assert host.run("test -w %s", folder).rc == 0, folder
        assert host.file(folder).gid == 0
    aws = host.run("aws --version")
    assert (aws.rc == 0 and aws.stdout.startswith("aws-cli/")) == product.aws_cli
    packages = host.pip.get_packages()
    assert packages["airflow-ecs-entrypoint"]["version"]
    assert ("cowsay" in packages) == product.requirements
    assert host.run("python -m pip check").rc == 0


@every_image
def test_bytecode_of_everything_a_task_imports(product: Product, built: Builder, run: Run) -> None:
    """Nothing is compiled when a container starts, neither Airflow nor the standard library."""
    script = (
        "import importlib.util as u, os\n"
        "for name in ('airflow', 'sqlalchemy.orm', 'json', 'asyncio', 'botocore.session', 'airflow_ecs_entrypoint'):\n"
        "    source = u.find_spec(name).origin\n"
        "    cached = u.cache_from_source(source)\n"
        "    flags = int.from_bytes(open(cached, 'rb').read(8)[4:], 'little')\n"
        "    assert flags in (0, 3), (name, 'must be checked against its source')\n"
        "    if flags == 0:\n"
        "        stamp = int.from_bytes(open(cached, 'rb').read(12)[8:], 'little')\n"
        "        assert stamp == int(os.stat(source).st_mtime), (name, 'is out of date')\n"
        "print('all compiled')\n"
    )
    code, output = run(built(product), "python", "-c", script)
    assert code == 0, output


def test_images_that_differ_in_dag_mode_share_every_other_layer(built: Builder, client: docker.DockerClient) -> None:
    layers = {}
    for product in FAMILIES["Airflow 2, every DAG mode"]:
        layers[product.mode] = client.images.get(built(product)).attrs["RootFS"]["Layers"]
    assert set(layers) == {"s3", "local", "none"}
    assert layers["s3"] == layers["none"]
    assert layers["local"][: len(layers["s3"])] == layers["s3"]
    assert len(layers["local"]) == len(layers["s3"]) + 1, "the DAGs alone are on top"


def test_any_uid_with_gid_0_works(worker: str, run: Run) -> None:
    code, output = run(worker, "bash", "-c", "id -u && echo $HOME && touch /opt/airflow/dags/x", user="12345:0")
    assert code == 0, output
    assert output.split()[-2:] == ["12345", "/home/airflow"]
    code, output = run(worker, "version", user="12345:0")
    assert (code, output.strip().splitlines()[-1]) == (0, "2.10.5")


def test_no_argument_is_airflow_with_no_argument(worker: str, run: Run) -> None:
    (code, output), (airflow_code, airflow_output) = run(worker), run(worker, "airflow")
    assert code == airflow_code != 0
    assert "GROUP_OR_COMMAND" in output and "GROUP_OR_COMMAND" in airflow_output


def test_aws_cli_is_away_from_airflows_packages(worker: str, inside: Callable[..., Any]) -> None:
    host = inside(worker)
    assert "awscli" not in host.pip.get_packages()
    assert host.file("/usr/local/bin/aws").linked_to == "/opt/aws-cli/bin/aws"


def test_options_written_into_the_image(
    built: Builder, inside: Callable[..., Any], client: docker.DockerClient
) -> None:
    product = PRODUCTS[EVERYTHING]
    host = inside(built(product))
    assert host.run("airflow config get-value core default_timezone").stdout.strip().endswith("Europe/Berlin")
    assert host.package("jq").is_installed and host.package("tree").is_installed
    assert host.run("airflow plugins").stdout.count("greeting") >= 1
    settings = host.run("python -c 'import airflow, company_settings; print(company_settings.ANSWER)'")
    assert settings.stdout.strip() == "42", settings.stderr
    assert client.images.get(built(product)).labels["com.example.team"] == "data"
    assert "#1 " in built.output["every option at once"], "--progress plain shows Buildx's own lines"


def test_explain_json_names_what_build_makes(built: Builder, client: docker.DockerClient) -> None:
    (found,) = json.loads(build_py("explain", "--python", "3.8", "--dags", "s3", "--json").stdout)
    assert found["airflow"] == "2.10.5"
    built(PRODUCTS[OLD_WORKER])
    for tag in found["tags"]:
        assert client.images.get(tag.replace("airflow-ecs-worker:", "airflow-ecs-test:"))
