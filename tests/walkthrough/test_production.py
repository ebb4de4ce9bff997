"""docs/production.md, followed on a local AWS: its commands as they are printed, up to a first DAG that ran on ECS.

What differs from AWS is said where it is done. Blocks without the mark ``aws`` are not run: they need a person, a host
that is there already or somebody's VPC, show what was done, or update a stack, where moto's CloudFormation looks at no
condition.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow_ecs_executor.aws.stack import outputs_of
from docker.models.containers import Container

from local.airflow import scheduler_image
from local.aws_services.aws import LocalAws
from local.aws_services.stack import Stack, fail_if_ended
from local.machine.aws_client import REGION
from local.machine.bases import ensure_base
from local.machine.containers import output_of, put_files
from local.machine.waiting import until
from tests.docs.pages import blocks, copy_project, run_shell
from tests.images.product import EVERY_AIRFLOW
from tests.paths import DOCS
from tests.releases import NEWEST_2, NEWEST_3
from tests.walkthrough.building import NEEDED, buildable
from tests.walkthrough.database import answer_as

PAGE = DOCS / "production.md"
STACK = "airflow-ecs"
"""The page's stack."""
HOST = "airflow.internal"
"""Where the page has the API server."""
SESSION = "/tmp/session"
READY = "the Airflow host is ready"


def page(*marks: str, without: tuple[str, ...] = ()) -> str:
    """The blocks that have all of the marks, one after the other, as somebody pastes them into one shell."""
    found = [block for block in blocks(PAGE) if block.language == "sh" and {"aws", *marks} <= block.marks]
    return "\n".join(block.code for block in found if not block.marks & set(without))


def with_variables(code: str, **values: str) -> str:
    """The page's own variables, replaced by a reader's."""
    for name, value in values.items():
        code, count = re.subn(rf"\b{name}=\S+", f"{name}={shlex.quote(value)}", code, count=1)
        assert count == 1, f"{name} is no variable of the page"
    return code


class Reader:
    """Somebody who follows the page for one Airflow: on a builder, then on the Airflow host."""

    def __init__(self, airflow: str, stack: Stack, folder: Path) -> None:
        product = EVERY_AIRFLOW[airflow]
        ensure_base(*product.base)
        self.airflow, self.python, _ = product.base
        self.major = self.airflow.partition(".")[0]
        self.other = {"2": "airflow-3", "3": "airflow-2"}[self.major]
        self.image = f"airflow-ecs-worker:{self.airflow}-python{self.python}-s3"
        self.stack = stack
        self.aws = LocalAws(stack)
        self.folder = folder
        copy_project(folder, (*NEEDED, "deploy"))

    def variables(self) -> str:
        """The first block, with this reader's Airflow, and the region of the local AWS."""
        return with_variables(
            page("variables"),
            AWS_REGION=REGION, AWS_DEFAULT_REGION=REGION, AIRFLOW=self.airflow, PYTHON=self.python,
        )  # fmt: skip

    def build(self) -> str:
        """Do what is done on the builder; returns what the terminal showed.

        The stack's cluster is made in moto's ECS, so it is made anew in the one that runs containers, and its database
        runs nowhere, so the local PostgreSQL answers by its name. The tools of the builder are there already.
        """
        environment = self.aws.local_environment()
        code = page(without=("variables", "builder-environment", "airflow-host", self.other))
        deploy, _, rest = code.partition("python build.py --airflow")
        assert rest, "the image is built after the stack is there"
        shown = run_shell(f"{self.variables()}\n{deploy}", self.folder, environment)
        assert shown.code == 0, shown.output
        (stack,) = self.aws.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
        self.outputs = outputs_of(STACK, stack)
        self.aws.client("ecs").create_cluster(clusterName=self.outputs.cluster_name)
        credentials = json.loads(self.secret(self.outputs.database_credentials_arn))
        answer_as(self.stack, self.outputs.database_endpoint, self.outputs.database_name, credentials["password"])
        build = buildable(f"python build.py --airflow{rest}")
        more = run_shell(f"sleep() {{ :; }}\n{self.variables()}\n{build}", self.folder, environment)
        assert more.code == 0, more.output
        return shown.output + more.output

    def secret(self, arn: str) -> str:
        value: str = self.aws.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]
        return value

    def operate(self) -> Container:
        """Do what is done on the Airflow host, and start Airflow there; returns the host.

        It is a container with Airflow and the executor installed: its `pip` has nothing to do, and no index.
        """
        script = [
            "set -euo pipefail",
            "pip() { :; }",
            "cd /opt/airflow",
            self.variables(),
            page("airflow-host", without=("trigger", self.other)),
            *(f"{command} >/tmp/{command.split()[1]}.log 2>&1 &" for command in self.services()),
            f"echo {READY}",
            "wait -n",
        ]
        image = scheduler_image.build_image(self.stack, self.image)
        host = self.stack.create(image, ["bash", SESSION], name=HOST, environment=self.aws.environment())
        put_files(host, {"/tmp": {"session": "\n".join(script).encode()}})
        host.start()

        def ready() -> bool:
            fail_if_ended(host, "the Airflow host")
            return READY in output_of(host)

        until(ready, 600, "the Airflow host is set up", explain=lambda: output_of(host))
        return host

    def services(self) -> list[str]:
        """The commands of Airflow's services, by the page's table."""
        row = next(line for line in PAGE.read_text(encoding="utf-8").splitlines() if "`airflow api-server`," in line)
        return re.findall("`([^`]+)`", row.strip("|").split("|")[0 if self.major == "3" else 1])


def on(host: Container, code: str) -> str:
    """What a further shell on the Airflow host prints; it fails when that does."""
    script = f"cd /opt/airflow && . ./airflow-env.sh && {{ {code}\n}}"
    done = host.exec_run(["bash", "-euo", "pipefail", "-c", script])
    assert isinstance(done.output, bytes)
    assert done.exit_code == 0, done.output.decode()
    return done.output.decode()


@pytest.fixture(params=[NEWEST_3.version, NEWEST_2.version])
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Reader]:
    with Stack() as stack:
        yield Reader(request.param, stack, tmp_path)


@pytest.mark.full
def test_the_page_leads_from_an_empty_account_to_a_dag_that_runs_on_ecs(reader: Reader) -> None:
    shown = reader.build()
    outputs = reader.outputs
    assert re.search(rf"^{re.escape(outputs.repository_uri)}@sha256:[0-9a-f]{{64}}$", shown, re.MULTILINE)
    assert re.search(r"^S3_VERSION=\d{4}-", shown, re.MULTILINE)
    host = reader.operate()
    on(host, page("trigger"))

    def state() -> str | None:
        (run,) = reader.stack.query(outputs.database_name, "SELECT state FROM dag_run WHERE dag_id = 'hello_ecs'")
        return run["state"] if run["state"] in ("success", "failed") else None

    ended = until(state, 600, "the DAG's run has ended", pause=1, explain=lambda: on(host, "tail -n 40 /tmp/*.log"))
    ecs = reader.aws.client("ecs")
    arns = ecs.list_tasks(cluster=outputs.cluster_name, desiredStatus="STOPPED")["taskArns"]
    tasks = ecs.describe_tasks(cluster=outputs.cluster_name, tasks=arns)["tasks"]
    assert ended == "success", [task.get("stoppedReason") for task in tasks]
    assert [task["containers"][0]["exitCode"] for task in tasks] == [0, 0]
    logs = reader.aws.client("logs")
    streams = logs.describe_log_streams(logGroupName=outputs.log_group_name)["logStreams"]
    assert len(streams) == 2

    # Nothing that should be a secret is written down on the way.
    password = json.loads(reader.secret(outputs.database_credentials_arn))["password"]
    definition = ecs.describe_task_definition(taskDefinition=outputs.task_definition_family)["taskDefinition"]
    for text in (shown, output_of(host), json.dumps(definition, default=str), on(host, "cat airflow-env.sh")):
        assert password not in text
