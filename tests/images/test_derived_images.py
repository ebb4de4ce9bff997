"""Images built FROM ours: what a user puts on top is what runs."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from local.control_plane import Dags
from local.deployment import Deployment
from local.task_run import run_one
from tests.images.conftest import S3_URI
from tests.images.product import PRODUCTS, Product

Run = Callable[..., tuple[int, str]]


def wheel(folder: Path, name: str, version: str, files: dict[str, str]) -> str:
    """Write a wheel of the given files; returns its file name."""
    info = f"{name}-{version}.dist-info"
    metadata = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    content = {**files, **metadata}
    record = "".join(f"{path},,\n" for path in [*content, f"{info}/RECORD"])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, text in {**content, f"{info}/RECORD": record}.items():
            archive.writestr(path, text)
    file = f"{name}-{version}-py3-none-any.whl"
    (folder / file).write_bytes(buffer.getvalue())
    return file


def require_task(image: str, worker: str, deployment_of: Callable[[Product], Deployment]) -> str:
    """Run a task of the project in the image, to success; returns the container's output and the task's log."""
    result = run_one(deployment_of(PRODUCTS[worker]), "project_report", "load", image=image, dags=Dags(s3_uri=S3_URI))
    assert result.succeeded, result.describe()
    return result.output + result.log


def test_a_patched_module_of_airflow_runs(
    worker: str, dockerfile: Callable[[str], str], deployment_of: Callable[[Product], Deployment]
) -> None:
    """Its bytecode in the image belongs to the source that was there."""
    image = dockerfile(
        f"FROM {worker}\n"
        'RUN python -c "import airflow.cli.commands.task_command as m; print(m.__file__)" | tail -n 1 > /tmp/path \\\n'
        "    && echo 'print(\"patched task command\", flush=True)' >> $(cat /tmp/path)\n"
    )
    assert "patched task command" in require_task(image, worker, deployment_of)


def test_a_patched_module_of_the_standard_library_runs(worker: str, dockerfile: Callable[[str], str], run: Run) -> None:
    image = dockerfile(
        f"FROM {worker}\n"
        "USER root\n"
        "RUN echo 'PATCHED = 42' >> $(python -c 'import colorsys; print(colorsys.__file__)')\n"
        "USER airflow\n"
    )
    code, output = run(image, "python", "-c", "import colorsys; print(colorsys.PATCHED)")
    assert (code, output.strip().splitlines()[-1]) == (0, "42")


@pytest.mark.parametrize("upgraded", [False, True], ids=["new", "instead of one that is there"])
def test_an_extra_package_is_installed_by_pip(
    upgraded: bool,
    worker: str,
    dockerfile: Callable[[str], str],
    run: Run,
    deployment_of: Callable[[Product], Deployment],
    tmp_path: Path,
) -> None:
    """As the user airflow, who must be able to replace what is there, bytecode included."""
    module = "termcolor" if upgraded else "brand_new"
    file = wheel(tmp_path, module, "99.0", {f"{module}/__init__.py": "ANSWER = 42\n"})
    image = dockerfile(
        f"FROM {worker}\nCOPY {file} /tmp/{file}\nRUN pip install --no-index --no-deps --upgrade /tmp/{file}\n"
    )
    code, output = run(image, "python", "-c", f"import {module}; print({module}.ANSWER)")
    assert (code, output.strip().splitlines()[-1]) == (0, "42"), output
    require_task(image, worker, deployment_of)


USERS = {
    "any UID": "USER 12345:0\n",
    "root": "USER root\n",
    "a user of its own": "USER root\nRUN useradd --uid 4711 --gid 0 --no-create-home etl\nUSER etl\n",
}


@pytest.mark.parametrize("user", USERS)
def test_another_user_runs_tasks(
    user: str, worker: str, dockerfile: Callable[[str], str], deployment_of: Callable[[Product], Deployment]
) -> None:
    require_task(dockerfile(f"FROM {worker}\n{USERS[user]}"), worker, deployment_of)


def test_an_entrypoint_of_ones_own_may_end_in_ours(
    worker: str, dockerfile: Callable[[str], str], deployment_of: Callable[[Product], Deployment], tmp_path: Path
) -> None:
    (tmp_path / "first.sh").write_text('#!/bin/sh\necho "first of all"\nexec airflow-ecs-entrypoint "$@"\n')
    image = dockerfile(
        f'FROM {worker}\nCOPY --chmod=0755 first.sh /first.sh\nENTRYPOINT ["/usr/bin/dumb-init", "--", "/first.sh"]\n'
    )
    assert "first of all" in require_task(image, worker, deployment_of)


def test_a_wrapper_in_place_of_airflow_is_run(
    worker: str, dockerfile: Callable[[str], str], deployment_of: Callable[[Product], Deployment], tmp_path: Path
) -> None:
    """Not in the entrypoint's process, then: it is no script of this Python."""
    (tmp_path / "airflow").write_text('#!/bin/sh\necho "wrapped"\nexec /home/airflow/.local/bin/airflow "$@"\n')
    image = dockerfile(f"FROM {worker}\nCOPY --chmod=0755 airflow /opt/wrapper/airflow\nENV PATH=/opt/wrapper:$PATH\n")
    assert "wrapped" in require_task(image, worker, deployment_of)
