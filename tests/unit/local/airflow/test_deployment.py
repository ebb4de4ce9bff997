"""What a task's container is told, and what the scripts in containers answer."""

from __future__ import annotations

import pytest

from local.airflow.deployment import PreparedTask, marked
from local.errors import PrepareError


def test_a_prepared_task_does_not_show_its_token() -> None:
    assert "t0ken" not in repr(PreparedTask("dag", "task", "run", ("python", "t0ken")))


def test_no_answer_shows_what_there_was_instead() -> None:
    with pytest.raises(PrepareError, match=r"no line that begins with 'MARK ':\n(.*\n)*it broke"):
        marked("it began\nit broke\n", "MARK ")
