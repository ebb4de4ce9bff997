"""Images built FROM ours: what a user puts on top is what runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.images.conftest import Tasks
from tests.wheels import write_wheel

Run = Callable[..., tuple[int, str]]


DERIVED = """
FROM {worker}
USER root
RUN echo 'PATCHED = 42' >> $(python -c 'import colorsys; print(colorsys.__file__)') \\
    && useradd --uid 4711 --gid 0 --no-create-home etl
COPY --chmod=0755 first.sh /first.sh
USER airflow
RUN python -c "import airflow.cli.commands.task_command as m; print(m.__file__)" | tail -n 1 > /tmp/path \\
    && echo 'print("patched task command", flush=True)' >> $(cat /tmp/path)
COPY {wheels} /tmp/
RUN pip install --no-index --no-deps --upgrade {installed}
USER etl
ENTRYPOINT ["/usr/bin/dumb-init", "--", "/first.sh"]
"""
FIRST = '#!/bin/sh\necho "first of all"\nexec airflow-ecs-entrypoint "$@"\n'
SHOW = "import brand_new, colorsys, termcolor; print(brand_new.ANSWER, colorsys.PATCHED, termcolor.ANSWER)"


def test_whatever_is_put_on_top_is_what_runs(
    tasks: Tasks, dockerfile: Callable[[str], str], run: Run, tmp_path: Path
) -> None:
    """The image patches modules, replaces packages, and has a user and an entrypoint of its own.

    The bytecode of the patched modules, of Airflow and of the standard library, belongs to other sources. One package
    that pip installs replaces another with bytecode of its own.
    """
    (tmp_path / "first.sh").write_text(FIRST)
    names = ("brand_new", "termcolor")
    wheels = [write_wheel(tmp_path, name, "99.0", {f"{name}/__init__.py": "ANSWER = 42\n"}).name for name in names]
    installed = " ".join(f"/tmp/{file}" for file in wheels)
    image = dockerfile(DERIVED.format(worker=tasks.image, wheels=" ".join(wheels), installed=installed))
    code, output = run(image, "python", "-c", SHOW)
    assert (code, output.strip().splitlines()[-1]) == (0, "42 42 42"), output
    result = tasks.load(image=image)
    assert "first of all" in result.output and "patched task command" in result.output + result.log


@pytest.mark.parametrize("user", ["12345:0", "root"])
def test_another_user_runs_tasks(user: str, tasks: Tasks) -> None:
    """As `USER` in an image has it: any UID of group 0, and root."""
    tasks.load(user=user)


def test_a_wrapper_in_place_of_airflow_is_run(tasks: Tasks, dockerfile: Callable[[str], str], tmp_path: Path) -> None:
    """Not in the entrypoint's process, then: it is no script of this Python."""
    (tmp_path / "airflow").write_text('#!/bin/sh\necho "wrapped"\nexec /home/airflow/.local/bin/airflow "$@"\n')
    image = dockerfile(
        f"FROM {tasks.image}\nCOPY --chmod=0755 airflow /opt/wrapper/airflow\nENV PATH=/opt/wrapper:$PATH\n"
    )
    assert "wrapped" in tasks.load(image=image).output
