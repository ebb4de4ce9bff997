"""The parts of the images' benchmark that need no container."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local.airflow.control_plane import Dags
from tests.bench.cold_start import Case, ColdStart, Results, Turn, turns
from tests.bench.dag_files import DAG_ID, archive, dag_files, task_ids, write_files
from tests.bench.image_contenders import AIRFLOWS, Contender, bare
from tests.bench.image_layers import BYTECODE, by_purpose, differing, purpose
from tests.bench.image_scenarios import TARGETS, rebuild_figures, size_figures, start_figures
from tests.bench.memory import MemorySampler, anonymous
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


class TestTurns:
    def test_each_contender_warms_up_and_each_case_has_a_turn_a_round(self) -> None:
        planned = turns(CASES, 2)
        assert planned[:2] == [Turn("ours, few", counts=False), Turn("reference, few", counts=False)]
        assert [turn.case for turn in planned[2:]] == [
            *("ours, few", "ours, many", "reference, few"),
            *("ours, many", "reference, few", "ours, few"),
        ]
        assert all(turn.counts for turn in planned[2:])

    def test_the_figures_are_medians(self) -> None:
        results = Results({"ours, few": [ColdStart(3.0, 7), ColdStart(1.0, 9), ColdStart(2.0, 8)]})
        assert (results.seconds("ours, few"), results.peak_bytes("ours, few")) == (2.0, 8)
        assert results.described() == "    ours, few: 3.00 1.00 2.00"


class TestDagFiles:
    def test_one_of_them_has_the_tasks(self) -> None:
        files = dag_files(250, 3)
        assert len(files) == 250
        assert {name.partition("/")[0] for name in files} == {f"{DAG_ID}.py", "orders_0", "orders_1", "orders_2"}
        for name, content in files.items():
            compile(content, name, "exec")
        assert b"for number in range(3):" in files[f"{DAG_ID}.py"]
        assert task_ids(3) == ["task_0", "task_1", "task_2"]

    def test_a_folder_and_an_archive_hold_the_same(self, tmp_path: Path) -> None:
        files = dag_files(20, 1)
        write_files(tmp_path / "dags", files)
        paths = (path for path in (tmp_path / "dags").rglob("*") if path.is_file())
        assert {path.relative_to(tmp_path / "dags").as_posix(): path.read_bytes() for path in paths} == files
        with tarfile.open(fileobj=io.BytesIO(archive(files))) as tar:
            members = {member.name: tar.extractfile(member) for member in tar}
            assert {name: member and member.read() for name, member in members.items()} == files


class TestLayers:
    BASE = ({"Size": 500_000_000, "CreatedBy": "RUN everything"},)
    HISTORY = (
        {"Size": 0, "CreatedBy": "ENTRYPOINT [...]"},
        {"Size": 3_000_000, "CreatedBy": "RUN pip install /wheels/airflow_ecs_entrypoint.whl"},
        {"Size": 145_000_000, "CreatedBy": "RUN python /steps/install_aws_cli.py /steps/aws-cli.txt"},
        {"Size": 74_000_000, "CreatedBy": "RUN python /steps/compile_bytecode.py"},
        {"Size": 1_000_000, "CreatedBy": "RUN python /steps/check_base.py"},
        *BASE,
    )

    def test_what_an_image_adds_to_its_base(self) -> None:
        assert by_purpose(self.HISTORY, self.BASE) == {
            "everything else": 1.0,
            BYTECODE: 74.0,
            "the AWS CLI": 145.0,
            "the entrypoint": 3.0,
        }

    def test_the_layers_of_the_reference_have_the_same_names(self) -> None:
        assert purpose("RUN ln -s /opt/aws-cli/bin/aws /usr/local/bin/aws") == "the AWS CLI"
        assert purpose("COPY --chmod=0755 entrypoint_prod.sh /home/airflow/entrypoint.sh") == "the entrypoint"
        assert purpose("RUN apt-get install unzip") == "Debian packages"

    @pytest.mark.parametrize(("second", "count"), [("abc", 0), ("abd", 1), ("ab", 1), ("abcd", 1), ("xbcd", 2)])
    def test_places_in_which_layers_differ(self, second: str, count: int) -> None:
        assert differing("abc", second) == count


class TestMemory:
    @pytest.mark.parametrize(
        ("counters", "size"),
        [
            ({"anon": 5, "file": 9}, 5),
            ({"total_rss": 5, "rss": 2, "cache": 9}, 5),
            ({"rss": 2, "cache": 9}, 2),
            ({}, 0),
        ],
    )
    def test_the_page_cache_does_not_count(self, counters: dict[str, int], size: int) -> None:
        assert anonymous({"memory_stats": {"stats": counters}}) == size

    def test_of_a_container_that_has_ended(self) -> None:
        assert anonymous({"memory_stats": {}}) == 0

    def test_the_peak_up_to_a_moment(self) -> None:
        sizes = iter([1, 5, 2])
        now = time.time()

        def stats(**_: object) -> dict[str, Any]:
            return {"memory_stats": {"stats": {"anon": next(sizes, 9)}}}

        container: Any = SimpleNamespace(stats=stats)
        with MemorySampler(container) as sampler:
            time.sleep(0.3)
        assert sampler.peak_until(time.time()) == 9
        assert sampler.peak_until(now) == 0


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
    @pytest.mark.parametrize("airflow", AIRFLOWS)
    def test_all_targets_met(self, airflow: str) -> None:
        figures = start_figures(airflow, results_of(**OWN, **OTHERS))
        assert missed(figures) == []
        assert sum(figure.judged for figure in figures) == 6

    @pytest.mark.parametrize(
        ("airflow", "changed", "what"),
        [
            (OLDEST.version, {"reference__few": 9.0}, "10 files"),
            (OLDEST.version, {"reference__few__slow": 22.0}, "10 files, half a core"),
            (OLDEST.version, {"reference__many": 9.6}, "1,000 files"),
            (OLDEST.version, {"ours__archive": 2.3}, "1,000 files, ours as one archive"),
            (OLDEST.version, {"bare__few": 1.4}, "10 files, ours beyond the floor"),
            (NEWEST_3.version, {"ours__archive": 3.6}, "1,000 files, ours as one archive"),
        ],
    )
    def test_a_target_missed(self, airflow: str, changed: dict[str, float], what: str) -> None:
        figures = start_figures(airflow, results_of(**{**OWN, **OTHERS, **changed}))
        assert missed(figures) == [what]

    @pytest.mark.parametrize("airflow", AIRFLOWS)
    def test_ours_alone(self, airflow: str) -> None:
        assert len(start_figures(airflow, results_of(**OWN))) == 5
        assert airflow in TARGETS

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


def test_the_floor_is_our_image_without_its_entrypoint() -> None:
    floor = bare(OURS)
    assert (floor.image, floor.options) == (OURS.image, {"entrypoint": ["/usr/bin/dumb-init", "--"]})


def test_hadolint_passes_the_reference_image() -> None:
    program = Path(sys.executable).with_name("hadolint")
    command = [str(program), "--config", str(ROOT / ".hadolint.yaml"), str(_REFERENCE / "Dockerfile")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
