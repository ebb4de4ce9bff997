"""What a task's container is told, and what the scripts in containers answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.airflow.control_plane import Dags
from local.airflow.deployment import PreparedTask, marked
from local.errors import PrepareError


@pytest.mark.parametrize(
    ("dags", "environment"),
    [
        (Dags(), {}),
        (Dags(folder=Path("x")), {}),
        (Dags(s3_uri="s3://dags/x"), {"S3_URI": "s3://dags/x"}),
        (Dags(s3_uri="s3://dags", path="/srv"), {"S3_URI": "s3://dags", "CONTAINER_DAG_PATH": "/srv"}),
        (Dags(folder=Path("x"), path="/srv"), {"CONTAINER_DAG_PATH": "/srv"}),
    ],
)
def test_an_image_is_told_of_its_dags_only_what_differs_from_its_own(dags: Dags, environment: dict[str, str]) -> None:
    assert dags.environment == environment


def test_a_prepared_task_does_not_show_its_token() -> None:
    assert "t0ken" not in repr(PreparedTask("dag", "task", "run", ("python", "t0ken")))


def test_the_answer_is_found_among_other_output() -> None:
    output = 'warning: MARK {"a": 2}\nMARK {"a": 1}\nMARK {"a": 3}\nbye\n'
    assert marked(output, "MARK ") == {"a": 1}


def test_no_answer_shows_what_there_was_instead() -> None:
    with pytest.raises(PrepareError, match=r"no line that begins with 'MARK ':\n(.*\n)*it broke"):
        marked("it began\nit broke\n", "MARK ")


def test_files_of_a_folder_are_for_where_the_image_looks_for_them(tmp_path: Path) -> None:
    (tmp_path / "dag.py").write_text("x")
    assert Dags(folder=tmp_path, path="/srv").files == {"/srv": {"dag.py": b"x"}}
    assert Dags(s3_uri="s3://dags").files == {}
