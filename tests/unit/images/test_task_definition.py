"""`build.py task-definition`: from an image in a registry to a revision in ECS, by their APIs over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from airflow_ecs_executor.aws.task_definition import read_definition
from airflow_ecs_executor.checks.environment import container_of, differences
from airflow_ecs_executor.image_check.comparison import Fit, Versions
from airflow_ecs_executor.image_check.facts import ImageFacts
from airflow_ecs_executor.image_check.remote import Images, check_image
from botocore.exceptions import ClientError

from images.errors import AwsError, RequestError
from images.labels import labels
from images.spec import ImageSpec
from images.task_definitions.definition import Definition, Logs, difference, normalised, render
from images.task_definitions.registration import explained, register
from images.task_definitions.settings import DATABASE, EXECUTION_API, FERNET_KEY, RequestedSettings, settings
from local.ecs.control import EcsApi
from local.fakes.registry import FakeRegistry, digest_of, entry, put_image, put_index
from tests.unit.executor.cloudformation import OUTPUTS, CloudFormation, described
from tests.unit.images.conftest import Answer, Run

ROLE = "arn:aws:iam::123456789012:role/airflow-execution"
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:database-a1b2c3"
URL = "http://airflow.internal:8080/execution/"
CONCURRENT = "Too many concurrent attempts to create a new revision of the specified family."
STACK = {
    **OUTPUTS,
    "dags_uri": "s3://bucket/dags",
    "task_definition_family": "data-worker",
    "log_group_name": "/airflow/worker",
    "execution_role_arn": ROLE,
    "database_url_secret_arn": SECRET,
    "fernet_key_secret_arn": f"{SECRET}d",
}
BY_HAND = (
    *("--execution-role", ROLE, "--log-group", "/airflow/worker"),
    *("--region", "eu-west-1", "--s3-uri", "s3://bucket/dags"),
)


@pytest.fixture(scope="module")
def server() -> Iterator[EcsApi]:
    with EcsApi() as api:
        yield api


@pytest.fixture
def ecs(server: EcsApi, nobody: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of an ECS without task definitions, which `build.py` finds, too."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_ECS", server.url)
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    server.reset()
    return boto3.client("ecs", region_name="eu-west-1")


@pytest.fixture
def registry(ecs: Any) -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


@pytest.fixture
def stack(ecs: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudFormation]:
    with CloudFormation() as service:
        service.has(described(**STACK))
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", service.url)
        yield service


def config_of(airflow: str, dags: str = "s3", architecture: str = "amd64", **environment: str) -> dict[str, Any]:
    """The configuration that a built image has."""
    return {
        "architecture": architecture,
        "os": "linux",
        "config": {
            "Labels": labels(ImageSpec(airflow, "3.12", dags, "base"), "0.1.0"),
            "Env": [f"AIRFLOW_ECS_DAGS={dags}", *(f"{name}={value}" for name, value in environment.items())],
        },
    }


def put(registry: FakeRegistry, airflow: str, **more: Any) -> str:
    """An image in the registry; its name, by tag."""
    put_image(registry, "worker", airflow, config_of(airflow, **more))
    return f"{registry.host}/worker:{airflow}"


def registered(ecs: Any, family: str = "airflow-worker") -> dict[str, Any]:
    found = ecs.describe_task_definition(taskDefinition=family, include=["TAGS"])
    return {**found["taskDefinition"], "tags": found["tags"]}


def said(answer: Answer) -> str:
    assert answer.code == 0, answer.errors
    return answer.output


class TestRegistering:
    def test_airflow_3_by_a_stack(self, run: Run, registry: FakeRegistry, stack: CloudFormation, ecs: Any) -> None:
        image = put(registry, "3.3.2")
        arn = said(run("task-definition", image, "--stack", "airflow-ecs", "--region", "eu-west-1",
                       "--execution-api-url", URL)).strip()  # fmt: skip
        found = registered(ecs, "data-worker")
        assert arn == found["taskDefinitionArn"] and arn.endswith(":task-definition/data-worker:1")
        digest = digest_of(registry.manifests["worker", "3.3.2"][1])
        (container,) = found["containerDefinitions"]
        assert container["image"] == f"{registry.host}/worker@{digest}"
        assert {item["name"]: item["value"] for item in container["environment"]} == {
            "S3_URI": "s3://bucket/dags",
            "AIRFLOW__LOGGING__REMOTE_LOGGING": "True",
            "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER": "s3://bucket/logs",
            EXECUTION_API: URL,
        }
        assert "secrets" not in container and container["stopTimeout"] == 120
        assert container["logConfiguration"] == {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": "/airflow/worker",
                "awslogs-region": "eu-west-1",
                "awslogs-stream-prefix": "task",
            },
        }
        assert (found["cpu"], found["memory"]) == ("512", "1024")
        assert found["runtimePlatform"] == {"cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX"}
        assert (found["executionRoleArn"], found["taskRoleArn"]) == (ROLE, OUTPUTS["task_role_arn"])
        assert found["tags"] == [{"key": "managed-by", "value": "airflow-ecs"}]

    def test_airflow_2_gets_database_and_fernet_key_as_secrets(
        self, run: Run, registry: FakeRegistry, stack: CloudFormation, ecs: Any
    ) -> None:
        stack.has(described(**{**STACK, "airflow_major_version": "2"}))
        answer = run("task-definition", put(registry, "2.11.2"), "--stack", "airflow-ecs", "--region", "eu-west-1")
        assert said(answer) and "ExecutionPolicyArns" not in answer.errors
        (container,) = registered(ecs, "data-worker")["containerDefinitions"]
        assert container["secrets"] == [
            {"name": FERNET_KEY, "valueFrom": f"{SECRET}d"},
            {"name": DATABASE, "valueFrom": SECRET},
        ]

    def test_every_flag_arrives_and_wins_over_the_stack(
        self, run: Run, registry: FakeRegistry, stack: CloudFormation, ecs: Any, tmp_path: Path
    ) -> None:
        agent = {"name": "agent", "image": "public.ecr.aws/x/agent:1", "healthCheck": {"command": ["true"]}}
        (tmp_path / "agent.json").write_text(json.dumps(agent))
        (tmp_path / "more.json").write_text(json.dumps([{"name": "proxy", "image": "proxy:1", "essential": True}]))
        answer = run(
            *("task-definition", put(registry, "3.3.2"), "--stack", "airflow-ecs", "--region", "eu-west-2"),
            *("--family", "other", "--container", "task", "--cpu", "2048", "--memory", "8192"),
            *("--ephemeral-storage", "50", "--task-role", f"{ROLE}2", "--execution-role", f"{ROLE}3"),
            *("--log-group", "/other", "--stop-timeout", "60", "--env", f"{EXECUTION_API}={URL}", "--env", "A=b=c"),
            *("--secret", f"PASSWORD={SECRET}:password::", "--s3-uri", "s3://other/dags", "--logs-uri", "s3://other/l"),
            *("--sidecar", tmp_path / "agent.json", "--sidecar", tmp_path / "more.json"),
            *("--depends-on", "agent:HEALTHY", "--tag", "team=data", "--tag", "managed-by=me"),
        )
        said(answer)
        found = boto3.client("ecs", region_name="eu-west-2").describe_task_definition(
            taskDefinition="other", include=["TAGS"]
        )
        definition = found["taskDefinition"]
        ours, agent, proxy = definition["containerDefinitions"]
        assert (definition["cpu"], definition["memory"]) == ("2048", "8192")
        assert definition["ephemeralStorage"] == {"sizeInGiB": 50}
        assert (definition["taskRoleArn"], definition["executionRoleArn"]) == (f"{ROLE}2", f"{ROLE}3")
        assert (ours["name"], ours["stopTimeout"]) == ("task", 60)
        values = {item["name"]: item["value"] for item in ours["environment"]}
        assert values["A"] == "b=c" and values["S3_URI"] == "s3://other/dags" and values[EXECUTION_API] == URL
        assert values["AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER"] == "s3://other/l"
        assert ours["secrets"] == [{"name": "PASSWORD", "valueFrom": f"{SECRET}:password::"}]
        assert ours["dependsOn"] == [{"containerName": "agent", "condition": "HEALTHY"}]
        options = ours["logConfiguration"]["options"]
        assert (options["awslogs-group"], options["awslogs-region"]) == ("/other", "eu-west-2")
        assert options["awslogs-create-group"] == "true", "nobody has made that group"
        assert (agent["essential"], proxy["essential"]) == (False, True)
        assert agent["logConfiguration"] == ours["logConfiguration"]
        assert "the sidecar proxy is essential" in answer.errors and "sidecar agent" not in answer.errors
        assert found["tags"] == [{"key": "managed-by", "value": "me"}, {"key": "team", "value": "data"}]

    def test_what_the_stack_s_execution_role_may_not_do_by_itself_is_said(
        self, run: Run, registry: FakeRegistry, stack: CloudFormation, ecs: Any
    ) -> None:
        parameter = "arn:aws:ssm:eu-west-1:123456789012:parameter/key"
        flags = ("--region", "eu-west-1", "--execution-api-url", URL, "--log-group", "/other",
                 "--secret", f"ONE={SECRET}x", "--secret", f"OTHER={parameter}")  # fmt: skip
        answer = run("task-definition", put(registry, "3.3.2"), "--stack", "airflow-ecs", *flags)
        by = "the role airflow-execution needs it by a policy of ExecutionPolicyArns"
        assert said(answer)
        assert f"ONE requires secretsmanager:GetSecretValue on {SECRET}x: {by}" in answer.errors
        assert f"OTHER requires ssm:GetParameters on {parameter}: {by}" in answer.errors
        assert "the log group /other requires logs:CreateLogGroup, " in answer.errors

    def test_the_same_is_not_registered_again_and_a_difference_is(
        self, run: Run, registry: FakeRegistry, ecs: Any, tmp_path: Path
    ) -> None:
        (tmp_path / "agent.json").write_text(
            json.dumps({"name": "agent", "image": "agent:1", "portMappings": [{"containerPort": 8125}]})
        )
        flags = ("task-definition", put(registry, "3.3.2"), *BY_HAND, "--execution-api-url", URL,
                 "--sidecar", tmp_path / "agent.json")  # fmt: skip
        first = said(run(*flags))
        again = run(*flags)
        assert said(again) == first and "airflow-worker:1 is the same: nothing to register" in again.errors
        assert said(run(*flags, "--env", "A=1")).endswith(":2\n")
        assert said(run(*flags)).endswith(":3\n"), "what was taken away is a difference, too"
        assert said(run(*flags, "--tag", "team=data")).endswith(":4\n")
        put(registry, "3.3.2", dags="none")
        assert said(run(*flags, "--tag", "team=data")).endswith(":5\n"), "the tag has another image now"
        ecs.deregister_task_definition(taskDefinition="airflow-worker:5")
        again = run(*flags, "--tag", "team=data")
        assert said(again).endswith(":6\n"), "what is not active does not count"

    def test_an_image_by_its_digest_is_the_same(self, run: Run, registry: FakeRegistry, ecs: Any) -> None:
        image = put(registry, "3.3.2")
        flags = (*BY_HAND, "--execution-api-url", URL)
        first = said(run("task-definition", image, *flags))
        (container,) = registered(ecs)["containerDefinitions"]
        assert said(run("task-definition", container["image"], *flags)) == first

    def test_a_dry_run_shows_it_and_registers_nothing(self, run: Run, registry: FakeRegistry, ecs: Any) -> None:
        flags = ("task-definition", put(registry, "3.3.2"), *BY_HAND, "--execution-api-url", URL)
        new = run(*flags, "--dry-run")
        assert json.loads(said(new))["family"] == "airflow-worker" and "would register" in new.errors
        with pytest.raises(ClientError):
            registered(ecs)
        said(run(*flags))
        changed = run(*flags, "--dry-run", "--memory", "2048")
        assert '-  "memory": "1024"' in changed.errors and '+  "memory": "2048"' in changed.errors
        assert json.loads(said(changed))["memory"] == "2048"
        assert "nothing to register" in run(*flags, "--dry-run").errors
        assert registered(ecs)["revision"] == 1

    def test_as_json(self, run: Run, registry: FakeRegistry, ecs: Any) -> None:
        flags = ("task-definition", put(registry, "3.3.2"), *BY_HAND, "--execution-api-url", URL, "--json")
        would = json.loads(said(run(*flags, "--dry-run")))
        assert (would["taskDefinitionArn"], would["changed"]) == (None, True)
        done, again = json.loads(said(run(*flags))), json.loads(said(run(*flags)))
        assert done["taskDefinition"] == would["taskDefinition"] and done["changed"]
        assert again == {**done, "changed": False}


class TestImage:
    def test_its_platform_is_the_task_s(self, run: Run, registry: FakeRegistry, ecs: Any) -> None:
        image = put(registry, "3.3.2", architecture="arm64")
        flags = ("task-definition", image, *BY_HAND, "--execution-api-url", URL)
        said(run(*flags))
        assert registered(ecs)["runtimePlatform"]["cpuArchitecture"] == "ARM64"
        wrong = run(*flags, "--platform", "linux/amd64")
        assert wrong.code == 18 and "is for arm64, not for amd64" in wrong.errors

    def test_of_several_platforms_one_is_chosen_and_the_index_pinned(
        self, run: Run, registry: FakeRegistry, ecs: Any
    ) -> None:
        parts = {
            name: put_image(registry, "worker", "", config_of("3.3.2", architecture=name))
            for name in ("arm64", "amd64")
        }
        index = put_index(
            registry, "worker", "multi", [entry(digest, f"linux/{name}") for name, digest in parts.items()]
        )
        flags = ("task-definition", f"{registry.host}/worker:multi", *BY_HAND, "--execution-api-url", URL)
        for more, architecture in (((), "X86_64"), (("--platform", "linux/arm64"), "ARM64")):
            said(run(*flags, *more))
            found = registered(ecs)
            assert found["runtimePlatform"]["cpuArchitecture"] == architecture
            assert found["containerDefinitions"][0]["image"] == f"{registry.host}/worker@{index}"

    @pytest.mark.parametrize(
        ("name", "code", "words"),
        [
            ("worker:1", 2, "Push it first: python build.py push worker:1"),
            ("127.0.0.1:9/worker:1", 19, "127.0.0.1:9 does not answer"),
            ("{host}/worker:none", 19, "There is no image"),
            ("{host}/UPPER:1", 2, "is not a valid image name"),
            ("{host}/worker:silent", 19, "does not say which Airflow it has"),
            ("{host}/worker:odd", 18, "which Fargate does not have"),
        ],
    )
    def test_one_that_cannot_be_used(self, run: Run, registry: FakeRegistry, name: str, code: int, words: str) -> None:
        put_image(registry, "worker", "silent", {"architecture": "amd64", "config": {}})
        put_image(registry, "worker", "odd", config_of("3.3.2", architecture="s390x"))
        answer = run("task-definition", name.format(host=registry.host), *BY_HAND)
        assert (answer.code, answer.output) == (code, "") and words in answer.errors


class TestFlags:
    @pytest.mark.parametrize(
        ("flags", "code", "words"),
        [
            ("--cpu 300", 2, "The nearest is --cpu 256"),
            ("--memory 700", 2, "--memory 1024"),
            ("--cpu many", 2, "invalid int value"),
            ("--ephemeral-storage 20", 2, "21 to 200"),
            ("--stop-timeout 300", 2, "2 to 120"),
            ("--platform linux/s390x", 2, "--platform takes"),
            ("--family a/b", 2, "--family 'a/b' is not a valid name"),
            ("--container=", 2, "--container is empty"),
            ("--task-role admin", 2, "requires the ARN of a role"),
            ("--env A", 2, "--env requires NAME=VALUE"),
            ("--env A=1 --env A=2", 2, "--env A is given twice"),
            ("--env A-B=1", 2, "is not a valid name of an environment variable"),
            ("--env DB_PASSWORD=hunter2", 5, "--secret DB_PASSWORD=ARN"),
            ("--env AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=postgresql://u:hunter2@h/d", 5, "looks like a secret"),
            ("--secret PASSWORD=hunter2", 2, "requires the ARN of a secret, not the secret itself"),
            (f"--secret A={SECRET}:key", 2, f"--secret A={SECRET}:password::"),
            (f"--secret A={SECRET} --env A=1", 2, "given with --env and with --secret"),
            ("--execution-api-url http://localhost:8080/execution/", 2, "localhost is the container itself"),
            ("--execution-api-url airflow:8080", 2, "is not the URL of an execution API"),
            ("--s3-uri bucket/dags", 2, "does not begin with s3://"),
            ("--logs-uri file:///logs", 2, "is not a valid place for logs"),
            ("--sidecar missing.json", 4, "missing.json"),
            ("--depends-on agent:START", 2, "the sidecar does not exist"),
            ("", 2, "Give --execution-api-url"),
        ],
    )
    def test_what_cannot_be_is_said_and_no_secret_shown(
        self, run: Run, registry: FakeRegistry, flags: str, code: int, words: str
    ) -> None:
        answer = run("task-definition", put(registry, "3.3.2"), *BY_HAND, *flags.split())
        assert (answer.code, answer.output) == (code, ""), answer.errors
        assert words in answer.errors and "hunter2" not in answer.errors

    def test_an_image_of_another_airflow_than_the_stack_s(
        self, run: Run, registry: FakeRegistry, stack: CloudFormation, ecs: Any
    ) -> None:
        answer = run("task-definition", put(registry, "2.11.2"), "--stack", "airflow-ecs", "--region", "eu-west-1")
        assert (answer.code, answer.output) == (2, "")
        assert "The image has Airflow 2.11.2, and the stack is for Airflow 3." in answer.errors
        assert "AirflowMajorVersion=2" in answer.errors
        assert not ecs.list_task_definitions(familyPrefix="data-worker")["taskDefinitionArns"]

    def test_a_stack_that_is_not_there(self, run: Run, stack: CloudFormation) -> None:
        stack.refuses("ValidationError", "Stack with id nowhere does not exist")
        answer = run("task-definition", "r.example/w:1", "--stack", "nowhere", "--region", "eu-west-1")
        assert answer.code == 20 and "There is no stack nowhere" in answer.errors

    def test_what_neither_a_flag_nor_a_stack_says(self, run: Run, ecs: Any) -> None:
        for flags, words in (((), "--execution-role"), (("--execution-role", ROLE), "--log-group")):
            answer = run("task-definition", "r.example/w:1", "--region", "eu-west-1", *flags)
            assert answer.code == 2 and words in answer.errors
        answer = run("task-definition", "r.example/w:1", *BY_HAND[:4])
        assert answer.code == 20 and "Give --region" in answer.errors

    @pytest.mark.parametrize(
        ("sidecar", "code", "words"),
        [
            ("{", 4, "is not JSON"),
            ('"agent"', 4, "is not a container definition"),
            ('{"name": "agent"}', 4, "is not a container definition"),
            ('{"name": "airflow", "image": "a"}', 2, "Two containers have the name airflow"),
            ('{"name": "a", "image": "a", "environment": [{"name": "API_KEY", "value": "hunter2"}]}', 5, "API_KEY"),
            ('{"name": "a", "image": "a", "portMapping": []}', 4, "Unknown parameter in containerDefinitions[1]"),
        ],
    )
    def test_sidecars_that_cannot_be(
        self, run: Run, registry: FakeRegistry, tmp_path: Path, sidecar: str, code: int, words: str
    ) -> None:
        (tmp_path / "s.json").write_text(sidecar)
        flags = (*BY_HAND, "--execution-api-url", URL, "--sidecar", tmp_path / "s.json")
        answer = run("task-definition", put(registry, "3.3.2"), *flags)
        assert answer.code == code and words in answer.errors and "hunter2" not in answer.errors

    @pytest.mark.parametrize(
        ("condition", "words"), [("DONE", "the condition does not exist"), ("HEALTHY", "has no healthCheck")]
    )
    def test_conditions_that_never_come(
        self, run: Run, registry: FakeRegistry, tmp_path: Path, condition: str, words: str
    ) -> None:
        (tmp_path / "s.json").write_text('{"name": "a", "image": "a"}')
        flags = (*BY_HAND, "--sidecar", tmp_path / "s.json", "--depends-on", f"a:{condition}")
        answer = run("task-definition", put(registry, "3.3.2"), *flags)
        assert answer.code == 2 and words in answer.errors


class TestSettings:
    """What stands in the image already is not asked for, and not overruled but by flags."""

    def test_dags_come_from_where_the_image_says(self) -> None:
        image = ImageFacts(airflow="3.3.2", dags="s3", environment={"S3_URI": "s3://baked/dags"})
        requested = RequestedSettings(execution_api_url=URL, stack_s3_uri="s3://stack/dags")
        assert "S3_URI" not in settings(image, requested).environment
        with pytest.raises(RequestError, match="requires an S3 URI"):
            settings(ImageFacts(airflow="3.3.2", dags="s3"), RequestedSettings(execution_api_url=URL))
        assert "S3_URI" not in settings(ImageFacts(airflow="3.3.2", dags="local"), requested).environment

    def test_the_database_may_be_known_in_any_of_airflow_s_ways(self) -> None:
        image = ImageFacts(airflow="2.10.5", dags="none")
        with pytest.raises(RequestError, match="require the metadata database"):
            settings(image, RequestedSettings())
        for name in (f"{DATABASE}_CMD", f"{DATABASE}_SECRET"):
            found = settings(image, RequestedSettings({name: "x"}, stack_database=SECRET))
            assert DATABASE not in found.secrets
        own = settings(
            image, RequestedSettings(secrets={DATABASE: "own"}, stack_database=SECRET, stack_fernet_key=SECRET)
        )
        assert own.secrets == {DATABASE: "own", FERNET_KEY: SECRET}
        assert any("fernet key" in note for note in settings(image, RequestedSettings(secrets={DATABASE: "own"})).notes)

    def test_airflow_2_has_no_execution_api(self) -> None:
        with pytest.raises(RequestError, match="is for Airflow 3"):
            settings(ImageFacts(airflow="2.10.5"), RequestedSettings(execution_api_url=URL))

    def test_a_secret_takes_the_place_of_a_variable(self) -> None:
        image = ImageFacts(airflow="3.3.2", dags="s3")
        found = settings(
            image, RequestedSettings(secrets={"S3_URI": SECRET}, execution_api_url=URL, stack_s3_uri="s3://a/b")
        )
        assert "S3_URI" not in found.environment and found.secrets == {"S3_URI": SECRET}

    def test_a_log_that_goes_with_its_container_is_noted(self) -> None:
        image = ImageFacts(airflow="3.3.2", dags="none")
        assert any("--logs-uri" in note for note in settings(image, RequestedSettings(execution_api_url=URL)).notes)


class Configuration(dict[tuple[str, str], str]):
    """A scheduler's."""

    def get(self, section: str, key: str, fallback: Any = None) -> Any:  # type: ignore[override]
        return super().get((section, key), fallback)


@pytest.mark.parametrize("airflow", ["2.11.2", "3.3.2"])
def test_the_executor_s_own_check_finds_nothing_wrong(
    run: Run, registry: FakeRegistry, stack: CloudFormation, ecs: Any, airflow: str
) -> None:
    flags = () if airflow.startswith("2") else ("--execution-api-url", URL)
    image = put(registry, airflow)
    stack.has(described(**{**STACK, "airflow_major_version": airflow[0]}))
    said(run("task-definition", image, "--stack", "airflow-ecs", "--region", "eu-west-1", *flags))
    definition = read_definition(registered(ecs, "data-worker"), "airflow")
    report = check_image(Images(lambda region: None), definition.image, Versions(airflow, "3.12"), definition.platform)
    assert report.outcome is Fit.COMPATIBLE
    scheduler = Configuration(
        {
            ("logging", "remote_logging"): "True",
            ("logging", "remote_base_log_folder"): "s3://bucket/logs",
            ("core", "fernet_key"): "key",
            ("core", "execution_api_server_url"): URL,
            ("database", "sql_alchemy_conn"): "postgresql://airflow@database/airflow_db",
        }
    )
    container = container_of(definition, report.facts, {})
    assert list(differences(scheduler, container, is_airflow_2=airflow.startswith("2"))) == []
    assert (definition.log_driver, definition.log_options["awslogs-stream-prefix"]) == ("awslogs", "task")


class TestComparing:
    BASE = Definition("worker", "airflow", "r.example/w@sha256:1", ROLE, Logs("/l", "eu-west-1"))

    def test_what_ecs_fills_in_is_no_difference(self) -> None:
        """As DescribeTaskDefinition of AWS answers."""
        sidecar = {
            "name": "agent",
            "image": "agent:1",
            "portMappings": [{"containerPort": 80}],
            "healthCheck": {"command": ["CMD", "true"]},
            "firelensConfiguration": {"type": "fluentbit"},
        }
        rendered = render(Definition(**{**vars(self.BASE), "environment": {"B": "2", "A": ""}, "sidecars": (sidecar,)}))
        answer = json.loads(json.dumps(rendered))
        tags = [*answer.pop("tags"), {"key": "aws:cloudformation:stack-name", "value": "x"}]
        answer |= {
            "taskDefinitionArn": "arn:aws:ecs:eu-west-1:1:task-definition/worker:1",
            "revision": 1,
            "status": "ACTIVE",
            "volumes": [],
            "placementConstraints": [],
            "requiresAttributes": [{"name": "ecs.capability.execution-role-awslogs"}],
            "compatibilities": ["EC2", "FARGATE"],
            "registeredAt": 1,
            "registeredBy": "arn:aws:iam::1:root",
            "enableFaultInjection": False,
        }
        ours, agent = answer["containerDefinitions"]
        ours["environment"].reverse()
        for container in (ours, agent):
            for name in ("mountPoints", "volumesFrom", "systemControls", "portMappings", "environment"):
                container.setdefault(name, [])
            container["cpu"] = 0
            container["logConfiguration"]["secretOptions"] = []
        agent["portMappings"] = [{"containerPort": 80, "hostPort": 80, "protocol": "tcp"}]
        agent["user"] = "0"
        agent["healthCheck"] |= {"interval": 30, "timeout": 5, "retries": 3}
        assert difference(normalised(answer, tags), normalised(rendered), "worker:1") == []

    @pytest.mark.parametrize(
        "change",
        [
            {"image": "r.example/w@sha256:2"},
            {"cpu": 1024, "memory": 2048},
            {"architecture": "ARM64"},
            {"environment": {"A": "1"}},
            {"environment": {"A": ""}},
            {"secrets": {"A": SECRET}},
            {"task_role": ROLE},
            {"ephemeral_storage": 21},
            {"stop_timeout": 60},
            {"tags": {"team": "data"}},
            {"logs": Logs("/l", "eu-west-1", create=True)},
            {"sidecars": ({"name": "a", "image": "b"},)},
        ],
        ids=str,
    )
    def test_what_matters_is_a_difference_either_way(self, change: dict[str, Any]) -> None:
        one = normalised(render(self.BASE))
        other = normalised(render(Definition(**{**vars(self.BASE), **change})))
        assert difference(one, other, "worker:1") and difference(other, one, "worker:1")

    def test_what_looks_secret_in_somebody_else_s_definition_is_not_shown(self) -> None:
        theirs = render(Definition(**{**vars(self.BASE), "environment": {"DB_PASSWORD": "hunter2", "A": "1"}}))
        lines = "\n".join(difference(normalised(theirs), normalised(render(self.BASE)), "worker:1"))
        assert "DB_PASSWORD" in lines and "hunter2" not in lines and '"1"' in lines


class TestConcurrency:
    """ECS refuses a revision while another one of its family is made, and the SDK does not try again."""

    @pytest.fixture
    def refuse(self, ecs: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[float]]:
        """Have ECS refuse some registrations; returns the pauses that follow."""

        def call(times: int) -> list[float]:
            pauses: list[float] = []
            error = {"Error": {"Code": "ClientException", "Message": CONCURRENT}}

            def answer(**_: Any) -> None:
                if len(pauses) < times:
                    raise ClientError(error, "RegisterTaskDefinition")

            monkeypatch.setattr("time.sleep", pauses.append)
            ecs.meta.events.register("before-call.ecs.RegisterTaskDefinition", answer)
            return pauses

        return call

    def test_it_is_tried_again_with_pauses_that_grow(self, ecs: Any, refuse: Callable[[int], list[float]]) -> None:
        pauses = refuse(3)
        arn = register(ecs, render(TestComparing.BASE))
        assert arn == registered(ecs, arn)["taskDefinitionArn"]
        assert len(pauses) == 3 and pauses == sorted(pauses)

    def test_not_without_end(self, ecs: Any, refuse: Callable[[int], list[float]]) -> None:
        pauses = refuse(100)
        with pytest.raises(AwsError, match="Too many concurrent attempts"):
            register(ecs, render(TestComparing.BASE))
        assert len(pauses) == 5


@pytest.mark.parametrize(
    ("code", "message", "words"),
    [
        (
            "AccessDeniedException",
            f"User: arn:aws:iam::1:user/a is not authorized to perform: iam:PassRole on resource: {ROLE}",
            "allow iam:PassRole on arn:aws:iam::123456789012:role/airflow-execution",
        ),
        ("ClientException", "Role is not valid", "exist in this account and trust ecs-tasks.amazonaws.com"),
        (
            "AccessDeniedException",
            "User: arn:aws:iam::1:user/a is not authorized to perform: ecs:TagResource on resource: x",
            "Allow ecs:TagResource",
        ),
        ("AccessDeniedException", "User: a is not authorized", "Allow ecs:RegisterTaskDefinition"),
        ("ClientException", CONCURRENT, "run one of them at a time"),
    ],
)
def test_what_ecs_refuses_is_explained(code: str, message: str, words: str) -> None:
    error = ClientError({"Error": {"Code": code, "Message": message}}, "RegisterTaskDefinition")
    failure = explained(render(TestComparing.BASE), error)
    assert failure.exit_code == 20 and words in failure.hint and message in failure.message
