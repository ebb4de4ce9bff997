"""What a container finds in its folders after it has started, on a real overlay file system."""

from __future__ import annotations

import json
from typing import Any

from local.aws_services.stack import Stack
from local.machine import resources
from local.machine.containers import output_of, wait
from tests.images.conftest import S3_URI, Builder
from tests.images.product import BAKED, DATA, PROJECT


def run_on(
    stack: Stack, image: str, command: str, volumes: dict[str, dict[str, str]] | None = None, **environment: str
) -> tuple[int, str]:
    """Run a shell command in a container on the stack's network, through the image's entrypoint."""
    settings = {**stack.aws_environment(), **environment}
    container = stack.create(image, ["bash", "-c", command], environment=settings, volumes=volumes)
    try:
        container.start()
        return wait(container, command, 120), output_of(container)
    finally:
        container.remove(force=True, v=True)


def project_files() -> list[str]:
    """Files of the project's DAG folder, as they must be in the container."""
    paths = (path.relative_to(PROJECT) for path in PROJECT.rglob("*") if path.is_file())
    return sorted(str(path) for path in paths if "__pycache__" not in path.parts)


LIST = "cd {} && find . -type f -not -path '*/__pycache__/*' -not -path './.airflow-ecs/*' | cut -c 3- | LC_ALL=C sort"


def test_s3_takes_the_place_of_dags_in_the_image(built: Builder, stack: Stack) -> None:
    """The image's own DAGs are in a lower layer of the overlay, where a folder cannot simply be renamed."""
    image = built(BAKED)
    stack.upload_folder(DATA / "plugins", "s3://dags/other")
    code, output = run_on(stack, image, LIST.format("/opt/airflow/dags"), S3_URI="s3://dags/other")
    assert code == 0, output
    assert output.splitlines()[-1] == "greeting_plugin.py"
    assert "project_report.py" not in output


def test_plugins_and_config_come_from_s3_too_and_another_dag_folder_is_airflows(worker: str, stack: Stack) -> None:
    stack.upload_folder(DATA / "plugins", "s3://dags/plugins")
    stack.upload_folder(DATA / "config", "s3://dags/config")
    command = (
        "ls /tmp/dags && airflow config get-value core dags_folder && airflow plugins "
        "&& python -c 'import airflow, company_settings as c; print(\"answer\", c.ANSWER)'"
    )
    code, output = run_on(
        stack,
        worker,
        command,
        S3_URI=S3_URI,
        CONTAINER_DAG_PATH="/tmp/dags",
        PLUGINS_S3_URI="s3://dags/plugins",
        CONFIG_S3_URI="s3://dags/config",
    )
    assert code == 0, output
    assert "project_report.py" in output and "/tmp/dags" in output.splitlines()
    assert "greeting" in output and "answer 42" in output


def test_a_shell_starts_with_a_warning_when_s3_fails(worker: str, stack: Stack) -> None:
    code, output = run_on(stack, worker, "echo started", S3_URI="s3://no-such-bucket/dags")
    assert code == 0
    assert "airflow-ecs-entrypoint: warning:" in output and "started" in output


def started(output: str) -> Any:
    """The line about the start-up: a JSON object."""
    (line,) = [line for line in output.splitlines() if '"event": "airflow-ecs-entrypoint: started"' in line]
    return json.loads(line)


def listed(output: str) -> list[str]:
    """What `LIST` printed."""
    return [line for line in output.splitlines() if "airflow-ecs-entrypoint" not in line]


def test_a_folder_holds_exactly_the_prefix_and_a_warm_volume_fetches_only_what_changed(
    worker: str, stack: Stack
) -> None:
    s3 = stack.aws_client("s3")
    stack.upload_folder(PROJECT, "s3://dags/warm")
    volume = stack.client.volumes.create(labels=resources.labels(stack.run_id))
    volumes = {volume.name: {"bind": "/opt/airflow/dags", "mode": "rw"}}

    def fetched() -> tuple[int, list[str]]:
        code, output = run_on(stack, worker, LIST.format("/opt/airflow/dags"), volumes, S3_URI="s3://dags/warm")
        assert code == 0, output
        return started(output)["sources"][0]["fetched"], listed(output)

    assert fetched() == (len(project_files()), project_files())
    assert fetched() == (0, project_files())
    body = s3.get_object(Bucket="dags", Key="warm/broken_draft.py")["Body"].read()
    s3.put_object(Bucket="dags", Key="warm/broken_draft.py", Body=body[::-1])  # of the same size
    s3.delete_object(Bucket="dags", Key="warm/project_report.py")
    assert fetched() == (1, [path for path in project_files() if path != "project_report.py"])
