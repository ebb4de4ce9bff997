"""What a container finds in its folders after it has started, on a real overlay file system."""

from __future__ import annotations

from local.containers import output_of, wait
from local.stack import Stack
from tests.images.conftest import S3_URI, Builder
from tests.images.product import DATA, FAMILIES, PROJECT


def run_on(stack: Stack, image: str, command: str, **environment: str) -> tuple[int, str]:
    """Run a shell command in a container on the stack's network, through the image's entrypoint."""
    container = stack.create(image, ["bash", "-c", command], environment={**stack.aws_environment(), **environment})
    try:
        container.start()
        return wait(container, command, 120), output_of(container)
    finally:
        container.remove(force=True, v=True)


def project_files() -> list[str]:
    """Files of the project's DAG folder, as they must be in the container."""
    paths = (path.relative_to(PROJECT) for path in PROJECT.rglob("*") if path.is_file())
    return sorted(str(path) for path in paths if "__pycache__" not in path.parts)


LIST = "cd {} && find . -type f -not -path '*/__pycache__/*' | cut -c 3- | LC_ALL=C sort"


def test_the_folder_holds_exactly_the_prefix(worker: str, stack: Stack) -> None:
    code, output = run_on(stack, worker, LIST.format("/opt/airflow/dags"), S3_URI=S3_URI)
    assert code == 0, output
    assert [line for line in output.splitlines() if "airflow-ecs-entrypoint:" not in line] == project_files()


def test_s3_takes_the_place_of_dags_in_the_image(built: Builder, stack: Stack) -> None:
    """The image's own DAGs are in a lower layer of the overlay, where a folder cannot simply be renamed."""
    image = built(next(p for p in FAMILIES["Airflow 2, every DAG mode"] if p.mode == "local"))
    stack.upload_folder(DATA / "plugins", "s3://dags/other")
    code, output = run_on(stack, image, LIST.format("/opt/airflow/dags"), S3_URI="s3://dags/other")
    assert code == 0, output
    assert output.splitlines()[-1] == "greeting_plugin.py"
    assert "project_report.py" not in output


def test_plugins_and_config_come_from_s3_too(worker: str, stack: Stack) -> None:
    stack.upload_folder(DATA / "plugins", "s3://dags/plugins")
    stack.upload_folder(DATA / "config", "s3://dags/config")
    code, output = run_on(
        stack,
        worker,
        "airflow plugins && python -c 'import airflow, company_settings as c; print(\"answer\", c.ANSWER)'",
        S3_URI=S3_URI,
        PLUGINS_S3_URI="s3://dags/plugins",
        CONFIG_S3_URI="s3://dags/config",
    )
    assert code == 0, output
    assert "greeting" in output and "answer 42" in output


def test_another_dag_folder_at_run_time_is_airflows_too(worker: str, stack: Stack) -> None:
    command = "airflow config get-value core dags_folder && ls /tmp/dags"
    code, output = run_on(stack, worker, command, S3_URI=S3_URI, CONTAINER_DAG_PATH="/tmp/dags")
    assert code == 0, output
    assert "/tmp/dags" in output.splitlines() and "project_report.py" in output


def test_a_shell_starts_with_a_warning_when_s3_fails(worker: str, stack: Stack) -> None:
    code, output = run_on(stack, worker, "echo started", S3_URI="s3://no-such-bucket/dags")
    assert code == 0
    assert "airflow-ecs-entrypoint: warning:" in output and "started" in output
