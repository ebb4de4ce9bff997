"""What an image says about itself against what it is."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import pytest
from docker.models.images import Image

from images.engine import Engine
from images.errors import VerificationError
from images.labels import labels
from images.matrix import Matrix
from images.resolve import Request, resolve
from images.scan import Finding
from images.spec import Options
from images.verify import ENTRYPOINT, Check, ChunkStream, check_facts, require_verified, table, verify


@pytest.fixture
def config(matrix: Matrix) -> dict[str, Any]:
    """The configuration of a good image, its labels as the build tool writes them."""
    (spec,) = resolve(matrix, Request(airflow="2.10.5", python="3.8"), Options()).specs
    return {
        "Labels": labels(spec, "1.2.3"),
        "Env": ["PATH=/usr/bin", "AIRFLOW_ECS_DAGS=s3", "CONTAINER_DAG_PATH=/opt/airflow/dags", "NO_SIGN"],
        "Entrypoint": list(ENTRYPOINT),
        "Cmd": None,
    }


FACTS: dict[str, Any] = {
    "airflow": "2.10.5",
    "python": "3.8",
    "entrypoint": "1.2.3",
    "boto3": "1.37.38",
    "uid": 50000,
    "gid": 0,
    "pid1": "/usr/bin/dumb-init",
    "aws_cli": "aws-cli/1.44.5 Python/3.8.20",
    "dependency_check": "No broken requirements found.",
    "bytecode": 1.0,
    "writable": {"/opt/airflow/dags": True, "/opt/airflow/logs": True, "/tmp": True},
}


def wrong(config: dict[str, Any], facts: dict[str, Any], output: str = "2.10.5\n") -> list[str]:
    return [check.name for check in check_facts(config, facts, output) if not check.passed]


def test_a_good_image_passes(config: dict[str, Any]) -> None:
    assert wrong(config, FACTS) == []
    assert wrong({**config, "Cmd": []}, FACTS, "some warning\n2.10.5\n") == []


@pytest.mark.parametrize(
    "fact, value, check",
    [
        ("airflow", "2.10.4", "Airflow"),
        ("airflow", None, "Airflow"),
        ("python", "3.9", "Python"),
        ("python", "3.80", "Python"),
        ("entrypoint", "1.2.4", "entrypoint version"),
        ("entrypoint", None, "entrypoint version"),
        ("boto3", None, "AWS SDK"),
        ("uid", 0, "user"),
        ("gid", 50000, "user"),
        ("aws_cli", None, "AWS CLI"),
        ("aws_cli", "failed: no such file", "AWS CLI"),
        ("dependency_check", "failed: a 1 requires b, which is not installed.", "dependency check"),
        ("bytecode", 0.5, "bytecode"),
        ("writable", {"/opt/airflow/dags": True, "/opt/airflow/logs": False}, "writable folders"),
    ],
)
def test_each_wrong_fact_is_one_wrong_check(config: dict[str, Any], fact: str, value: Any, check: str) -> None:
    assert wrong(config, {**FACTS, fact: value}) == [check]


def _label(name: str, value: str | None) -> Callable[[dict[str, Any]], None]:
    def change(config: dict[str, Any]) -> None:
        del config["Labels"][name]
        if value is not None:
            config["Labels"][name] = value

    return change


@pytest.mark.parametrize(
    "change, checks",
    [
        (lambda config: config.update(Entrypoint=["/entrypoint"]), ["entrypoint"]),
        (lambda config: config.update(Entrypoint=None), ["entrypoint"]),
        (lambda config: config.update(Cmd=["airflow"]), ["command"]),
        (lambda config: config["Env"].append("AWS_DEFAULT_REGION="), ["empty AWS variables"]),
        (lambda config: config["Env"].remove("AIRFLOW_ECS_DAGS=s3"), ["DAG mode"]),
        (_label("io.airflow-ecs.contract", "2"), ["contract version"]),
        (_label("io.airflow-ecs.contract", None), ["labels", "contract version"]),
        (_label("io.airflow-ecs.airflow", "2.10.4"), ["Airflow", "`version` by the entrypoint"]),
        (_label("io.airflow-ecs.python", "3.9"), ["Python"]),
        (_label("io.airflow-ecs.dags", "local"), ["DAG mode"]),
        (_label("io.airflow-ecs.dags", None), ["labels", "DAG mode"]),
        (_label("io.airflow-ecs.entrypoint", "2"), ["entrypoint version"]),
        (_label("io.airflow-ecs.aws-cli", "false"), ["AWS CLI"]),
        (_label("io.airflow-ecs.aws-cli", None), ["labels", "AWS CLI"]),
    ],
)
def test_each_wrong_setting_is_named(
    config: dict[str, Any], change: Callable[[dict[str, Any]], None], checks: list[str]
) -> None:
    changed = copy.deepcopy(config)
    change(changed)
    assert wrong(changed, FACTS) == checks


def test_the_entrypoint_must_start_airflow(config: dict[str, Any]) -> None:
    assert wrong(config, FACTS, "exit code 80: airflow-ecs-entrypoint: no S3_URI") == ["`version` by the entrypoint"]
    assert wrong(config, FACTS, "") == ["`version` by the entrypoint"]


def test_an_image_of_somebody_else_fails_without_a_traceback() -> None:
    facts = {**FACTS, "airflow": None, "entrypoint": None, "boto3": None}
    assert "labels" in wrong({"Labels": None, "Env": None, "Entrypoint": None}, facts)


def test_an_image_without_the_aws_cli_may_say_so(config: dict[str, Any]) -> None:
    config["Labels"]["io.airflow-ecs.aws-cli"] = "false"
    assert wrong(config, {**FACTS, "aws_cli": None}) == []


def test_the_table_has_a_row_each() -> None:
    checks = [Check("Airflow", "2.10.5", "2.10.5", True), Check("Python", "3.8", "3.9", False)]
    assert table(checks).splitlines() == [
        "       check    expected  found",
        "ok     Airflow  2.10.5    2.10.5",
        "WRONG  Python   3.8       3.9",
    ]


def test_only_what_is_wrong_is_raised() -> None:
    checks = [Check("Airflow", "2.10.5", "2.10.5", True), Check("Python", "3.8", "3.9", False)]
    require_verified("worker:1", checks[:1])
    with pytest.raises(VerificationError) as raised:
        require_verified("worker:1", checks)
    assert str(raised.value).startswith("worker:1 failed the verification:\n")
    assert "Python" in str(raised.value) and "Airflow" not in str(raised.value)


class Unreadable(Image):
    """An image that must not be saved, with two layers."""

    def __init__(self) -> None:
        super().__init__({"Id": "sha256:0", "Config": {}, "RootFS": {"Layers": ["sha256:aa", "sha256:bb"]}})

    def history(self) -> list[Any]:
        return []

    def save(self, chunk_size: int | None = None, named: bool | str = False) -> Any:
        raise AssertionError("its layers are known")


def test_layers_that_were_searched_before_are_not_read_again() -> None:
    class Holding(Engine):
        def image(self, reference: str, platform: str | None = None) -> Image:
            return Unreadable()

        def run(self, image: str, arguments: list[str], **options: Any) -> tuple[int, str, str]:
            return 1, "", "it does not run"

    finding = Finding("/opt/airflow/x", "private key")
    known = {"blobs/sha256/aa": [], "blobs/sha256/bb": [finding]}
    *_, runs, secrets = verify(Holding(), "worker:1", known_layers=known)
    assert (runs.name, runs.passed) == ("runs", False)
    assert secrets.found == "/opt/airflow/x: private key"


def test_chunks_are_read_as_one_stream() -> None:
    chunks = [b"ab", b"", b"cdefg", b"h"]
    stream = io.BufferedReader(ChunkStream(chunks), buffer_size=3)
    assert stream.read() == b"abcdefgh"
