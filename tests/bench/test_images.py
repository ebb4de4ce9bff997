"""The parts of the images' benchmark that need no container."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from local.airflow.control_plane import Dags
from tests.bench.cold_start import Case, ColdStart, Results, Turn, turns
from tests.bench.image_contenders import AIRFLOWS, Contender
from tests.bench.image_layers import BYTECODE
from tests.bench.image_scenarios import rebuild_figures, size_figures, start_figures
from tests.bench.report import Figure
from tests.paths import ROOT
from tests.releases import NEWEST_3, OLDEST

_REFERENCE = Path(__file__).with_name("reference_image")
OURS, REFERENCE = Contender("ours", "ours:1"), Contender("the reference", "reference:1")
CASES = {
    "ours, few": Case(OURS, Dags()),
    "ours, many": Case(OURS, Dags()),
    "reference, few": Case(REFERENCE, Dags()),
}


def test_each_contender_warms_up_and_each_case_has_a_turn_a_round() -> None:
    planned = turns(CASES, 2)
    assert planned[:2] == [Turn("ours, few", counts=False), Turn("reference, few", counts=False)]
    assert [turn.case for turn in planned[2:]] == [
        *("ours, few", "ours, many", "reference, few"),
        *("ours, many", "reference, few", "ours, few"),
    ]
    assert all(turn.counts for turn in planned[2:])


def results_of(**seconds: float) -> Results:
    return Results({name.replace("__", ", "): [ColdStart(value, 100_000_000)] for name, value in seconds.items()})


def missed(figures: list[Figure]) -> list[str]:
    return [figure.what for figure in figures if not figure.met]


OWN = {"ours__few": 2.0, "ours__few__slow": 4.0, "ours__few__plain": 2.6, "ours__many": 2.9, "ours__archive": 2.1}
OTHERS = {
    "reference__few": 10.0,
    "reference__few__slow": 25.0,
    "reference__many": 10.0,
    "bare__few": 1.6,
    "ours__few__memory": 2.0,
    "bare__few__memory": 1.6,
}


class TestFigures:
    @pytest.mark.parametrize(
        ("airflow", "changed", "what"),
        [
            (OLDEST.version, {}, None),
            (NEWEST_3.version, {}, None),
            (OLDEST.version, {"reference__few": 9.0}, "10 files"),
            (OLDEST.version, {"reference__few__slow": 22.0}, "10 files, half a core"),
            (OLDEST.version, {"reference__many": 9.6}, "1,000 files"),
            (OLDEST.version, {"ours__archive": 2.3}, "1,000 files, ours as one archive"),
            (OLDEST.version, {"bare__few": 1.4}, "10 files, ours beyond the floor"),
            (NEWEST_3.version, {"ours__archive": 3.6}, "1,000 files, ours as one archive"),
        ],
    )
    def test_a_target_missed(self, airflow: str, changed: dict[str, float], what: str | None) -> None:
        figures = start_figures(airflow, results_of(**{**OWN, **OTHERS, **changed}))
        assert missed(figures) == ([what] if what else [])

    @pytest.mark.parametrize("airflow", AIRFLOWS)
    def test_ours_alone_is_not_judged_by_the_reference(self, airflow: str) -> None:
        assert len(start_figures(airflow, results_of(**OWN))) == 5

    def test_the_sum_of_sizes_may_hold_the_bytecode_beyond_the_reference(self) -> None:
        reference = {"the AWS CLI": 145.0, "Debian packages": 1.0}
        assert missed(size_figures(OLDEST.version, {BYTECODE: 74.0, "the AWS CLI": 145.0}, reference)) == []
        assert missed(size_figures(OLDEST.version, {BYTECODE: 74.0, "the AWS CLI": 147.0}, reference)) == ["sum"]
        alone = size_figures(OLDEST.version, {BYTECODE: 74.0}, None)
        assert [(figure.what, figure.ours) for figure in alone] == [(f"layer: {BYTECODE}", 74.0), ("sum", 74.0)]

    def test_the_last_layer_of_mode_local_is_its_own(self) -> None:
        modes = {"s3": ["a", "b"], "none": ["a", "b"], "local": ["a", "b", "dags"]}
        assert missed(rebuild_figures(OLDEST.version, 1.0, 0, modes)) == []
        assert missed(rebuild_figures(OLDEST.version, 5.1, 1, {**modes, "none": ["a", "c"]})) == [
            "after a change of one of 1,000 DAG files in it",
            "other layers than the last that differ then",
            "layers that differ in another DAG mode, besides the DAGs' own",
        ]


def test_hadolint_passes_the_reference_image() -> None:
    program = Path(sys.executable).with_name("hadolint")
    command = [str(program), "--config", str(ROOT / ".hadolint.yaml"), str(_REFERENCE / "Dockerfile")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
