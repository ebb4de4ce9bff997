"""The parts of a local run that need no container: environments, names."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from local.aws_services import service_image
from local.aws_services.stack import Stack
from local.errors import ServiceError

if TYPE_CHECKING:
    from tests.unit.local.conftest import Engine


class TestQueries:
    """What PostgreSQL makes of them is seen wherever a database is made."""

    @pytest.fixture
    def asked(self) -> list[tuple[list[str], dict[str, str]]]:
        return []

    @pytest.fixture
    def stack(self, fake_engine: Engine, asked: list[Any], monkeypatch: pytest.MonkeyPatch) -> Stack:
        def exec_run(command: list[str], environment: dict[str, str]) -> SimpleNamespace:
            asked.append((command, environment))
            refused = "FAILS" in environment["SQL_SCRIPT"]
            return SimpleNamespace(exit_code=3 if refused else 0, output=b"ERROR: no" if refused else b"a,b\n1,\n")

        stack = Stack()
        monkeypatch.setattr(stack, "_postgres", SimpleNamespace(exec_run=exec_run))
        return stack

    def test_values_are_in_no_process_list(self, stack: Stack, asked: list[Any]) -> None:
        stack.query("mine", "ALTER ROLE airflow PASSWORD :'password'", password="s3cret")
        ((command, environment),) = asked
        assert "s3cret" not in " ".join(command) and "ALTER" not in " ".join(command)
        assert environment["password"] == "s3cret"
        assert environment["SQL_SCRIPT"] == "\\getenv password password\nALTER ROLE airflow PASSWORD :'password'"

    def test_nor_in_a_message(self, stack: Stack) -> None:
        with pytest.raises(ServiceError, match=r"^PostgreSQL refused \"FAILS :'password'\": ERROR: no$"):
            stack.query("mine", "FAILS :'password'", password="s3cret")


@pytest.mark.parametrize("name", ["Dockerfile", "registry.yaml", "requirements.txt"])
def test_a_change_of_the_services_makes_a_new_image(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = service_image.image_name()
    shutil.copytree(service_image._FOLDER, tmp_path / "services")
    monkeypatch.setattr(service_image, "_FOLDER", tmp_path / "services")
    assert service_image.image_name() == before
    with (tmp_path / "services" / name).open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert service_image.image_name() != before
