"""The image check of the executor inside Airflow, with a registry and an ECS API over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow.exceptions import AirflowException

from local.ecs.control import EcsApi
from local.fake_registry import FakeRegistry
from tests.executor.harness import Scheduler
from tests.executor.worker_images import REPOSITORY, RIGHT, WRONG, put_worker, register

DOCS = Path(__file__).resolve().parents[2] / "docs" / "image-check.md"
FAMILY = REPOSITORY


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as registry:
        yield registry


@pytest.fixture(autouse=True)
def short_tasks(ecs: EcsApi) -> None:
    ecs.configure(run_seconds=0.1)


def start(check: str = "strict", task_definition: str = FAMILY, **options: str) -> Scheduler:
    return Scheduler(image_version_check=check, task_definition=task_definition, **options)


# At start


def test_strict_refuses_to_start_in_the_words_of_the_documentation(ecs: EcsApi, registry: FakeRegistry) -> None:
    image = put_worker(registry, "1.10.15-python3.6-s3", WRONG)
    register(ecs, FAMILY, image)
    with pytest.raises(AirflowException) as caught:
        start()
    quoted = DOCS.read_text(encoding="utf-8").split("```\n")[1].strip()
    for documented, here in (
        ("2.10.5", WRONG.airflow),
        ("3.8", WRONG.python),
        ("3.3.2", RIGHT.airflow),
        ("3.12", RIGHT.python),
        (f"{FAMILY}:7", f"{FAMILY}:1"),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", registry.host),
    ):
        quoted = quoted.replace(documented, here)
    assert str(caught.value) == quoted
