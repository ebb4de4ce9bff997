"""The parts of a local run that need no container: environments, names."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local import services
from local.errors import ServiceError
from local.stack import Stack

if TYPE_CHECKING:
    from tests.unit.local.conftest import Engine


class TestStack:
    def test_two_runs_share_nothing(self, fake_engine: Engine) -> None:
        first, second = Stack(), Stack()
        assert first.network != second.network
        assert first.fernet_key != second.fernet_key

    def test_containers_get_a_fernet_key_always_and_a_database_when_one_is_named(self, fake_engine: Engine) -> None:
        stack = Stack()
        with_database = stack.airflow_secrets("mine")
        assert with_database.pop("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN").endswith("@postgres:5432/mine")
        assert with_database == stack.airflow_secrets() == {"AIRFLOW__CORE__FERNET_KEY": stack.fernet_key}

    def test_containers_reach_aws_by_its_name_on_the_network(self, fake_engine: Engine) -> None:
        assert Stack().aws_environment()["AWS_ENDPOINT_URL"] == "http://aws:5000"

    def test_one_that_is_not_started_says_how_it_is_used(self, fake_engine: Engine) -> None:
        stack = Stack()
        for use in (lambda: stack.postgres_address, lambda: stack.aws_endpoint, lambda: stack.query("x", "SELECT 1")):
            with pytest.raises(ServiceError, match="not started: use it as a context manager"):
                use()


@pytest.mark.parametrize("name", ["Dockerfile", "registry.yaml", "requirements.txt"])
def test_a_change_of_the_services_makes_a_new_image(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = services.image_name()
    shutil.copytree(services._FOLDER, tmp_path / "services")
    monkeypatch.setattr(services, "_FOLDER", tmp_path / "services")
    assert services.image_name() == before
    with (tmp_path / "services" / name).open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert services.image_name() != before
