"""What the parts of an Airflow and its tasks' containers are told; nothing is started."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local.airflow.in_container.create_user import arguments
from local.airflow.services import AirflowServices
from local.aws_services.stack import Stack
from local.errors import PrepareError
from tests.paths import ROOT

if TYPE_CHECKING:
    from tests.unit.local.conftest import Engine

DEMO_DAGS = ROOT / "local" / "demo" / "dags"
CONNECTION, FERNET_KEY = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__CORE__FERNET_KEY"
TASK_API = "AIRFLOW__CORE__EXECUTION_API_SERVER_URL"
Make = Callable[..., AirflowServices]


@pytest.fixture
def make(fake_engine: Engine) -> Make:
    """The services of an Airflow version, with more environment."""

    def services(version: str, **environment: str) -> AirflowServices:
        fake_engine.images[f"scheduler:{version}"] = {"org.apache.airflow.version": version}
        return AirflowServices(
            Stack(), f"scheduler:{version}", environment=environment, dags=[DEMO_DAGS], logs="s3://airflow/logs"
        )

    return services


class TestTasks:
    def test_those_of_airflow_2_get_database_and_fernet_key_as_secrets(self, make: Make) -> None:
        services = make("2.11.2")
        assert services.task_secrets().keys() == {CONNECTION, FERNET_KEY}
        assert services.task_environment() == {**services.task_settings(), **services.task_secrets()}

    def test_those_of_airflow_3_get_the_api_server_and_no_secret(self, make: Make) -> None:
        services = make("3.3.2")
        assert services.task_secrets() == {}
        assert re.fullmatch(r"http://[\w-]+:8080/execution/", services.task_settings()[TASK_API])
        assert services.task_settings()["AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT"] == "30"

    @pytest.mark.parametrize("version", ["2.10.5", "3.0.6"])
    def test_settings_hold_no_secret_and_nothing_of_the_scheduler(self, version: str, make: Make) -> None:
        services = make(version, AIRFLOW__CORE__EXECUTOR="airflow_ecs_executor.AwsEcsExecutor", AWS_PROFILE="x")
        names = set(services.task_settings())
        assert not {name for name in names if re.search("SECRET|PASSWORD|KEY|SQL_ALCHEMY|EXECUTOR$|AWS_PROFILE", name)}


class TestControlPlane:
    @pytest.mark.parametrize("version", ["2.11.2", "3.3.2"])
    def test_what_the_caller_says_comes_first(self, version: str, make: Make) -> None:
        services = make(version, AIRFLOW__CORE__PARALLELISM="5", AIRFLOW__CORE__EXECUTOR="LocalExecutor")
        control = services.control_environment()
        assert control["AIRFLOW__CORE__PARALLELISM"] == "5"
        assert control["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"

    @pytest.mark.parametrize("version", ["2.11.2", "3.3.2"])
    def test_the_password_is_in_no_environment(self, version: str, make: Make) -> None:
        services = make(version)
        assert not [name for name, value in services.control_environment().items() if services.password in value]

    def test_an_image_that_declares_no_airflow_is_refused(self, fake_engine: Engine) -> None:
        fake_engine.images["other:1"] = {}
        with pytest.raises(PrepareError, match="other:1 declares no Airflow version"):
            AirflowServices(Stack(), "other:1", environment={}, dags=[], logs="s3://airflow/logs")


def test_a_user_is_created_by_airflow_s_own_command() -> None:
    said = arguments({"username": "admin", "password": "-x"})
    assert said[:2] == ["users", "create"]
    assert "--password=-x" in said  # as one word: it may begin with a dash


class TestDemoDags:
    @pytest.mark.parametrize("path", sorted(DEMO_DAGS.glob("demo_*.py")), ids=lambda path: path.stem)
    def test_a_file_has_one_dag_of_its_name_that_tells_what_it_shows(self, path: Path) -> None:
        module = ast.parse(path.read_text(encoding="utf-8"))
        functions = [one for one in module.body if isinstance(one, ast.FunctionDef)]
        assert [one.name for one in functions if one.name.startswith("demo_")] == [path.stem]
        documentation = ast.get_docstring(module)
        assert documentation is not None
        assert documentation.startswith("### ")

    def test_no_other_file_is_taken_for_a_dag(self) -> None:
        ignored = (DEMO_DAGS / ".airflowignore").read_text(encoding="utf-8").splitlines()
        others = {path.name for path in DEMO_DAGS.glob("*.py") if not path.name.startswith("demo_")}
        assert others == {line for line in ignored if not line.startswith("#")}
