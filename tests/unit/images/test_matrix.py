"""matrix.yaml: what is true of the real one, and how a malformed one is refused."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from images.errors import MatrixError
from images.matrix import MATRIX_FILE, Matrix, load_matrix, parse_matrix, version_key
from images.resolve import Request, resolve
from images.spec import Options

FROZEN: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "data" / "matrix.yaml").read_text(encoding="utf-8"))


class TestTheRealMatrix:
    """What is true whichever releases it has; their locks are held by `tests/unit/local/machine/test_locks.py`."""

    @pytest.fixture(scope="class")
    @classmethod
    def real(cls) -> Matrix:
        return load_matrix()

    def test_releases_and_pythons_stand_from_the_oldest_to_the_newest(self) -> None:
        entries = yaml.safe_load(MATRIX_FILE.read_text(encoding="utf-8"))["airflow"]
        for versions in ([entry["version"] for entry in entries], *(entry["python"] for entry in entries)):
            assert versions == sorted(versions, key=version_key)

    def test_the_executor_runs_on_every_release_and_from_the_oldest_on(self, real: Matrix) -> None:
        project = (MATRIX_FILE.parent / "executor" / "pyproject.toml").read_text(encoding="utf-8")
        (bounds,) = re.findall(r'"apache-airflow([<>=][^"]*)"', project)
        assert [r.version for r in real.releases if r.version not in SpecifierSet(bounds)] == []
        assert f">={real.releases[0].version}," in bounds

    def test_every_image_has_a_name_of_its_own_and_bases_are_the_official_ones(self, real: Matrix) -> None:
        for base, prefix in (("full", ""), ("slim", "slim-")):
            specs = resolve(real, Request(every=True, base=base), Options(dag_path=Path("dags"))).specs
            assert len({spec.identifier for spec in specs}) == len(specs)
            assert {spec.base_image for spec in specs} == {
                f"apache/airflow:{prefix}{r.version}-python{python}" for r in real.releases for python in r.pythons
            }

    def test_the_default_is_a_full_image_with_dags_from_s3(self, real: Matrix) -> None:
        assert (real.defaults.base, real.defaults.dags) == ("full", "s3")


def test_order_in_the_file_does_not_matter() -> None:
    turned = copy.deepcopy(FROZEN)
    turned["airflow"].reverse()
    turned["airflow"][0]["python"].reverse()
    assert parse_matrix(turned) == parse_matrix(FROZEN)


ABSENT = object()


def _set(*path: str | int, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        place: Any = data
        for key in path[:-1]:
            place = place[key]
        if to is ABSENT:
            del place[path[-1]]
        else:
            place[path[-1]] = to

    return change


@pytest.mark.parametrize(
    "change, path, problem",
    [
        (_set("airflow", to=ABSENT), "airflow", "missing"),
        (_set("airflow", to=None), "airflow", "expected a list, got nothing"),
        (_set("airflow", to=[]), "airflow", "an empty list"),
        (_set("airflow", to={"version": "3.3.2"}), "airflow", "expected a list, got a dict"),
        (_set("airflow", 0, to="2.10.5"), "airflow[0]", "expected a mapping"),
        (_set("airflow", 1, "version", to=3.4), "airflow[1].version", "quote it"),
        (_set("airflow", 1, "version", to="3.4"), "airflow[1].version", "a release such as 2.10.5"),
        (_set("airflow", 1, "version", to="2.10.5"), "airflow", "2.10.5 is listed twice"),
        (_set("airflow", 2, "python", 1, to=3.10), "airflow[2].python[1]", "3.10 becomes 3.1"),
        (_set("airflow", 2, "python", 1, to="python3.10"), "airflow[2].python[1]", 'a Python such as "3.12"'),
        (_set("airflow", 2, "python", 1, to="3.9"), "airflow[2].python", "listed twice"),
        (_set("airflow", 2, "python", to="3.9"), "airflow[2].python", "expected a list"),
        (_set("airflow", 2, "default-python", to="3.8"), "airflow[2].default-python", "3.8 is not one of 3.9"),
        (_set("airflow", 2, "default-python", to=ABSENT), "airflow[2].default-python", "missing"),
        (_set("airflow", 2, "pythons", to=[]), "airflow[2].pythons", "unknown key"),
        (_set("airflow", 2, 3, to=[]), "airflow[2]", "key 3 must be a string"),
        (_set("bases", to={}), "bases", "expected a mapping, got an empty dict"),
        (_set("bases", "full", "image", to="x:{version}"), "bases.full.image", "{airflow} and {python} only"),
        (_set("bases", "full", "image", to="x:{airflow.real}"), "bases.full.image", "{airflow} and {python} only"),
        (_set("bases", "full", "image", to="x:{airflow"), "bases.full.image", "{airflow} and {python} only"),
        (_set("bases", "full", "image", to=""), "bases.full.image", "expected a string, got ''"),
        (_set("bases", "slim", "install", to="boto3"), "bases.slim.install", "expected a list"),
        (_set("bases", "slim", "install", 1, to="boto3>=1.28"), "bases.slim.install[1]", "a distribution such as"),
        (_set("bases", "slim", "install", 1, to="x; rm -rf /"), "bases.slim.install[1]", "a distribution such as"),
        (_set("bases", "Über", to=FROZEN["bases"]["full"]), "bases.Über", "a name of lower-case letters"),
        (_set("bases", "custom", to=FROZEN["bases"]["full"]), "bases.custom", "other than custom"),
        (_set("dags", "git", to="by Git"), "dags.git", "unknown DAG mode"),
        (_set("dags", "s3", to=3), "dags.s3", "expected a string"),
        (_set("platforms", 0, to="amd64"), "platforms[0]", "a platform such as linux/amd64"),
        (_set("defaults", "base", to="tiny"), "defaults.base", "'tiny' is not one of full, slim"),
        (_set("defaults", "dags", to="git"), "defaults.dags", "'git' is not one of"),
        (_set("defaults", "container-dag-path", to="dags"), "defaults.container-dag-path", "absolute"),
        (_set("defaults", "color", to="red"), "defaults.color", "unknown key"),
        (_set("extra", to=1), "extra", "unknown key"),
    ],
)
def test_malformed_content_names_the_path_in_the_file(
    change: Callable[[dict[str, Any]], None], path: str, problem: str
) -> None:
    data = copy.deepcopy(FROZEN)
    change(data)
    with pytest.raises(MatrixError) as raised:
        parse_matrix(data)
    assert str(raised.value).startswith(f"matrix.yaml: {path}: ")
    assert problem in str(raised.value)


@pytest.mark.parametrize("data", [None, [], "text", {}])
def test_a_file_without_a_mapping_is_refused(data: Any) -> None:
    with pytest.raises(MatrixError, match=r"matrix.yaml: top level: expected a mapping"):
        parse_matrix(data)


@pytest.mark.parametrize("content", [b"airflow: [", b"\xff\xfe", b"a: b: c"])
def test_a_file_that_is_no_yaml_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "matrix.yaml").write_bytes(content)
    with pytest.raises(MatrixError, match=r"matrix.yaml: not valid YAML") as raised:
        load_matrix(tmp_path / "matrix.yaml")
    assert "\n" not in str(raised.value)


def test_a_missing_file_says_how_to_restore_it(tmp_path: Path) -> None:
    with pytest.raises(MatrixError, match=r"No such file.*\n.*git checkout"):
        load_matrix(tmp_path / "matrix.yaml")
