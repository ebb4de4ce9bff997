"""The parts of the end-to-end benchmark that need no Airflow."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from local.errors import LocalError
from tests.bench.end_to_end_figures import (
    ContainerTimes,
    RunTimes,
    TaskTimes,
    burst_figures,
    most_at_once,
    start_figures,
)
from tests.bench.end_to_end_store import Part, Store
from tests.bench.report import Figure

QUEUED = 1000.0
IMAGES = ("0123", "4567")


def one(first_line: float | None, ended: float = 8.0) -> RunTimes:
    """A run of a single task: launched after half a second, running after three."""
    at = None if first_line is None else QUEUED + first_line
    task = TaskTimes(QUEUED, at, QUEUED + ended, "success", 1)
    container = ContainerTimes(QUEUED + 0.5, QUEUED + 3, QUEUED + ended + 1)
    return RunTimes(QUEUED + ended + 2, (task,), (container,))


def many(ended: float) -> RunTimes:
    """A run of three tasks, queued a second after each other."""
    tasks = tuple(TaskTimes(QUEUED + n, QUEUED + n + 4, QUEUED + n + 5, "success", 1) for n in range(3))
    containers = tuple(ContainerTimes(QUEUED + n + 1, QUEUED + n + 3, QUEUED + n + 6) for n in range(3))
    return RunTimes(QUEUED + ended, tasks, containers)


def missed(figures: list[Figure]) -> list[str]:
    return [figure.what for figure in figures if not figure.met]


def values(figures: list[Figure]) -> dict[str, float]:
    return {figure.what: figure.ours for figure in figures}


class TestStart:
    def test_the_parts_make_up_the_whole_as_medians(self) -> None:
        figures = start_figures("t", [one(5.0), one(4.0), one(9.0)], [one(10.0)], judged=True)
        assert [figure.ours for figure in figures[:5]] == [5.0, 0.5, 2.5, 2.0, 1.0]
        assert figures[0].reference == 10.0
        assert missed(figures) == []

    @pytest.mark.parametrize(("judged", "expected"), [(True, ["queued to the task's first line"]), (False, [])])
    def test_a_share_above_half_is_missed_where_it_is_a_target(self, judged: bool, expected: list[str]) -> None:
        assert missed(start_figures("t", [one(5.1)], [one(10.0)], judged=judged)) == expected

    def test_a_task_that_told_nothing_misses_the_target(self) -> None:
        figures = start_figures("t", [one(None)], [one(10.0)], judged=True)
        assert math.isnan(figures[0].ours)
        assert missed(figures) == ["queued to the task's first line"]

    def test_a_second_launch_and_a_second_try_are_counted(self) -> None:
        run = one(5.0)
        again = replace(run, containers=run.containers * 2, tasks=(replace(run.tasks[0], try_number=2),))
        assert missed(start_figures("t", [again], [], judged=False)) == [
            "ECS tasks more or fewer than tasks",
            "tasks without success by their first try",
        ]


class TestBurst:
    def test_the_figures(self) -> None:
        assert values(burst_figures("t", many(9.0), None)) == {
            "the first one queued to the run's end": 9.0,
            "of it: until all are queued": 2.0,
            "of it: until RunTask is called for the last one": 3.0,
            "queued to the first line, median": 4.0,
            "the last task's end to the run's": 2.0,
            "the last task's end to the last container's": 1.0,
            "containers at once, at most": 3,
            "ECS tasks launched": 3,
            "ECS tasks more or fewer than tasks": 0,
            "tasks without success by their first try": 0,
        }

    def test_the_target_is_a_share_of_the_reference(self) -> None:
        assert missed(burst_figures("t", many(9.0), many(15.0))) == []
        assert missed(burst_figures("t", many(9.1), many(15.0))) == ["the first one queued to the run's end"]

    def test_a_container_that_never_ran_makes_a_figure_that_is_none(self) -> None:
        run = many(9.0)
        lost = replace(run, containers=(*run.containers, ContainerTimes(QUEUED + 3, None, None)))
        assert math.isnan(values(burst_figures("t", lost, None))["the last task's end to the last container's"])

    def test_containers_at_once(self) -> None:
        spans = [(0.0, 2.0), (1.0, 3.0), (2.0, None), (None, None)]
        assert most_at_once([ContainerTimes(0.0, started, ended) for started, ended in spans]) == 2
        assert most_at_once([]) == 0


class TestStore:
    def test_what_was_measured_is_there_again(self, tmp_path: Path) -> None:
        path = tmp_path / "results.json"
        store = Store.at(path)
        store.add("start, ours", Part((one(5.0), one(None)), "2026-01-02", 0.25, IMAGES))
        store.add("burst, ours", Part((many(9.0),), "2026-01-03", 1.5, IMAGES))
        again = Store.at(path)
        assert again.parts == store.parts
        assert again.runs("burst, ours", IMAGES) == (many(9.0),)
        assert again.runs("burst, reference", IMAGES) == ()
        assert again.runs("burst, ours", ("0123", "89ab")) == (), "measured with other images"
        expected = "measured 2026-01-02 to 2026-01-03 in 2 parts; load 0.2 to 1.5 before each"
        assert again.circumstances() == expected

    @pytest.mark.parametrize(
        "text",
        ["", "[]", '{"x": {}}', '{"without its images": {"runs": [], "day": "2026-01-02", "load": 0.25}}'],
    )
    def test_a_file_of_something_else_is_refused(self, text: str, tmp_path: Path) -> None:
        path = tmp_path / "other.json"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(LocalError, match="no parts of this benchmark"):
            Store.at(path)
