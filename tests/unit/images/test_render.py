"""Dockerfiles: the same bytes for the same image, values that survive, and a linter's opinion on all of them."""

from __future__ import annotations

import difflib
import itertools
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from images.matrix import MATRIX_FILE, Matrix
from images.render import quoted, render, shell_quoted
from images.requirements import Requirements
from images.resolve import Request, resolve
from images.spec import Constraints, ImageSpec, Options
from tests.paths import ROOT
from tests.unit.images.conftest import Run

RENDERED = ROOT / "images" / "rendered"
README = (RENDERED / "README.md").read_text(encoding="utf-8").replace("\\\n", "")
COMMANDS = re.findall(r"^python build\.py (render .*) > images/rendered/(\S+)$", README, re.MULTILINE)
WHEEL = "airflow_ecs_entrypoint-1.2.3-py3-none-any.whl"

MINIMAL = Options()
EVERYTHING = Options(
    container_dag_path="/srv/dags",
    s3_uri="s3://bucket/dags",
    plugins_s3_uri="s3://bucket/plugins",
    config_s3_uri="s3://bucket/config",
    dag_path=Path("dags"),
    plugins_path=Path("plugins"),
    config_path=Path("config"),
    requirements=Requirements(files={"0/x.whl": Path("x.whl")}),
    constraints=Constraints.FILE,
    constraints_file=Path("constraints.txt"),
    apt_packages=("git", "libpq5"),
    env=(("AIRFLOW__CORE__PARALLELISM", "8"), ("QUOTED", 'a "b" $c \\d')),
    airflow_cfg=Path("airflow.cfg"),
    region="eu-west-1",
    labels=(("com.example.team", "data platform"),),
)
OPTION_SETS = {
    "minimal": MINIMAL,
    "everything": EVERYTHING,
    "without AWS CLI": Options(aws_cli=False, requirements=Requirements(), constraints=Constraints.NONE),
    "insecure": Options(insecure_aws_credentials=True),
}


def specs_of(matrix: Matrix, base: str, options: Options) -> list[ImageSpec]:
    """All images of the matrix, with a folder of DAGs for those of mode local."""
    specs = resolve(matrix, Request(every=True, base=base), replace(options, dag_path=Path("dags"))).specs
    return [replace(spec, options=options) for spec in specs]


def spec_of(matrix: Matrix, identifier: str, options: Options = MINIMAL) -> ImageSpec:
    (spec,) = resolve(matrix, Request(select=identifier), replace(options, dag_path=Path("dags"))).specs
    return replace(spec, options=options)


@pytest.mark.parametrize(("command", "name"), COMMANDS)
def test_rendered_dockerfiles_are_what_their_command_prints(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: str, name: str
) -> None:
    monkeypatch.chdir(ROOT)
    answer = run(*shlex.split(command), matrix=MATRIX_FILE)
    assert answer.errors == ""
    difference = difflib.unified_diff(
        (RENDERED / name).read_text(encoding="utf-8").splitlines(),
        answer.output.splitlines(),
        name,
        "rendered",
        lineterm="",
    )
    if lines := list(difference):
        pytest.fail("\n".join([f"run the commands of {RENDERED}/README.md:", *lines]), pytrace=False)


def test_every_rendered_dockerfile_has_a_command() -> None:
    assert {name for _, name in COMMANDS} == {path.name for path in RENDERED.glob("*.Dockerfile")}


def test_debian_packages_are_installed_with_the_variables(matrix: Matrix) -> None:
    """A licence is accepted by a variable such as ACCEPT_EULA=Y."""
    rendered = render(spec_of(matrix, "2.10.5-python3.8-s3", EVERYTHING), WHEEL)
    install = 'AIRFLOW__CORE__PARALLELISM="8" QUOTED="a \\"b\\" \\$c \\\\d" DEBIAN_FRONTEND=noninteractive apt-get'
    assert install in rendered
    value = "a `b` $c \\ \"d' "
    echoed = subprocess.run(
        ["sh", "-c", f"printf %s {shell_quoted(value)}"], capture_output=True, text=True, check=True
    )
    assert echoed.stdout == value


def test_a_package_that_was_built_with_debian_packages_is_not_installed_without_them(matrix: Matrix) -> None:
    """Pip's cache has what it built from source, such as a driver that requires a library of --apt-packages."""

    def caches(options: Options) -> set[str]:
        rendered = render(spec_of(matrix, "2.10.5-python3.8-s3", options), WHEEL)
        return set(re.findall(r"id=(airflow-ecs-pip-50000[^,]*)", rendered))

    (plain,), (one,), (other,) = (caches(Options(apt_packages=names)) for names in ((), ("libpq5",), ("git",)))
    assert len({plain, one, other}) == 3


def test_files_that_are_given_take_part(matrix: Matrix) -> None:
    rendered = render(spec_of(matrix, "2.11.2-python3.12-local", EVERYTHING), WHEEL)
    assert {
        "COPY --chown=50000:0 constraints.txt /opt/airflow-ecs/constraints.txt",
        "COPY --chown=50000:0 config/ /opt/airflow/config/",
        "COPY --chown=50000:0 plugins/ /opt/airflow/plugins/",
    } <= {*rendered.splitlines()}
    assert "--constraints /opt/airflow-ecs/constraints.txt --requirements" in rendered


def unquoted(word: str) -> str:
    r"""A double-quoted word as BuildKit reads it (its shell lexer): a backslash takes the meaning of \, " and $."""
    assert word.startswith('"') and word.endswith('"')
    read, rest = "", word[1:-1]
    while rest:
        if rest[0] == "\\" and rest[1:2] in ("\\", '"', "$"):
            read, rest = read + rest[1], rest[2:]
            continue
        assert rest[0] not in '"$', "ends the word, or begins a variable"
        read, rest = read + rest[0], rest[1:]
    return read


class TestQuoting:
    def test_every_short_text_of_awkward_characters_survives(self) -> None:
        for length in range(6):
            for characters in itertools.product("a \\\"$'", repeat=length):
                text = "".join(characters)
                assert unquoted(quoted(text)) == text

    @pytest.mark.parametrize("text", ["ünï ☃", "${HOME}", "`id`", "a\tb", "#x", "{{ x }}", "<<EOF", "%(name)s", "\\n"])
    def test_other_text_survives(self, text: str) -> None:
        assert unquoted(quoted(text)) == text

    @pytest.mark.parametrize("text", ["a\nb", "a\r"])
    def test_line_breaks_are_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="line break"):
            quoted(text)

    def test_values_arrive_in_the_dockerfile(self, matrix: Matrix) -> None:
        value = "a \"b\" $c \\d 'e' ü"
        options = Options(env=(("SETTING", value),), labels=(("team", value),), s3_uri=f"s3://bucket/{value}")
        rendered = render(spec_of(matrix, "3.3.2-python3.12-s3", options), WHEEL)
        found = dict(re.findall(r'^(?:ENV|ARG|LABEL|     ) ?([\w.]+)=(".*")', rendered, re.MULTILINE))
        assert unquoted(found["SETTING"]) == value
        assert unquoted(found["team"]) == value
        assert unquoted(found["s3_uri"]) == f"s3://bucket/{value}"


class TestContract:
    """What docs/image-contract.md and the reference promise, for every image of the matrix."""

    @pytest.fixture(scope="class")
    @classmethod
    def rendered(cls, matrix: Matrix) -> dict[str, str]:
        return {s.identifier: render(s, WHEEL) for base in matrix.bases for s in specs_of(matrix, base, MINIMAL)}

    def test_no_credential_takes_part_unless_asked_for(self, matrix: Matrix, rendered: dict[str, str]) -> None:
        assert not [name for name, text in rendered.items() if re.search("access_key|session_token", text, re.I)]
        insecure = render(spec_of(matrix, "3.3.2-python3.12-s3", OPTION_SETS["insecure"]), WHEEL)
        names = set(re.findall(r"^ARG (\w+)", insecure, re.MULTILINE))
        assert {"aws_access_key_id", "aws_secret_access_key", "aws_session_token"} <= names
        assert 'io.airflow-ecs.insecure="aws-credentials"' in insecure

    def test_dags_are_copied_last(self, matrix: Matrix) -> None:
        rendered = render(spec_of(matrix, "3.3.2-python3.12-local", EVERYTHING), WHEEL)
        assert rendered.splitlines()[-1] == "COPY --chown=50000:0 ${host_dag_path}/ ${container_dag_path}/"


def hadolint(files: Iterable[Path]) -> set[str]:
    """The rules that hadolint finds broken."""
    program = Path(sys.executable).with_name("hadolint")
    command = [str(program), "--format", "json", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    found = json.loads(done.stdout)
    assert done.returncode == bool(found), done.stderr
    return {finding["code"] for finding in found}


def test_hadolint_passes_every_rendering(matrix: Matrix, tmp_path: Path) -> None:
    """Each text that differs by more than versions, with each set of options."""
    plain: dict[str, Path] = {}
    insecure: dict[str, Path] = {}
    for (name, options), base in itertools.product(OPTION_SETS.items(), (*matrix.bases, "company/airflow:7")):
        for spec in specs_of(matrix, base, options):
            text = render(spec, WHEEL)
            structure = text.replace(spec.airflow, "AIRFLOW").replace(spec.python, "PYTHON")
            found = insecure if options.insecure_aws_credentials else plain
            if structure not in found:
                found[structure] = tmp_path / f"{name}-{spec.flavour}-{spec.identifier}.Dockerfile".replace(" ", "-")
                found[structure].write_text(text, encoding="utf-8")
    assert 3 * 3 <= len(plain) < 40, "renderings differ by more than versions, flavour, options and mode"
    assert hadolint(plain.values()) == set()
    # Credentials in ARG and ENV are what that flag is asked for, and nothing else is wrong with it.
    assert hadolint(insecure.values()) == {"DL3064"}
