"""Load and validate ``matrix.yaml``: which Airflow runs on which Python, base images, defaults."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from images.errors import MatrixError

MATRIX_FILE = Path(__file__).resolve().parent.parent / "matrix.yaml"

RELEASE = re.compile(r"\d+\.\d+\.\d+")
PYTHON = re.compile(r"3\.\d+")
_PLATFORM = re.compile(r"linux/[a-z0-9]+(/v\d+)?")
_BASE_NAME = re.compile(r"(?!custom$)[a-z]+")  # it is part of tags; custom stands for --base IMAGE
_DISTRIBUTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9._,-]+\])?(==[A-Za-z0-9.+!]+)?")
_DAG_MODES = ("s3", "local", "none")  # what the template knows how to render


def version_key(version: str) -> tuple[int, ...]:
    """Return the sort key of a dotted version: ``"3.10"`` sorts after ``"3.9"``."""
    return tuple(int(part) for part in version.split("."))


@dataclass(frozen=True)
class AirflowRelease:
    """One Airflow release and the Pythons (major.minor, oldest first) that it runs on."""

    version: str
    pythons: tuple[str, ...]
    default_python: str


@dataclass(frozen=True)
class BaseFlavour:
    """A pattern of base images and the packages that are added on top of it."""

    image: str
    install: tuple[str, ...]

    def image_for(self, airflow: str, python: str) -> str:
        """Return the name of the base image for an Airflow and a Python."""
        return self.image.format(airflow=airflow, python=python)


@dataclass(frozen=True)
class Defaults:
    """What an image gets if the flags do not say otherwise."""

    base: str
    dags: str
    repository: str
    container_dag_path: str


@dataclass(frozen=True)
class Matrix:
    """The validated matrix. Releases are sorted oldest first."""

    releases: tuple[AirflowRelease, ...]
    bases: Mapping[str, BaseFlavour]
    dag_modes: Mapping[str, str]
    platforms: tuple[str, ...]
    defaults: Defaults

    def release(self, version: str) -> AirflowRelease:
        """Return the release of exactly this version; KeyError if the matrix has none."""
        for release in self.releases:
            if release.version == version:
                return release
        raise KeyError(version)

    def matching(self, prefix: str = "") -> tuple[AirflowRelease, ...]:
        """Return the releases that a version or the beginning of one (``3``, ``2.10``) stands for; without one, all."""
        parts = prefix.split(".") if prefix else []
        return tuple(r for r in self.releases if r.version.split(".")[: len(parts)] == parts)

    @property
    def pythons(self) -> tuple[str, ...]:
        """Return every Python of the matrix, oldest first."""
        return tuple(sorted({p for r in self.releases for p in r.pythons}, key=version_key))


def load_matrix(path: Path = MATRIX_FILE) -> Matrix:
    """Read and validate a matrix file. Raises MatrixError with the path in it, such as ``airflow[2].python[0]``."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MatrixError(f"{path}: {error.strerror or error}", "Restore it: git checkout matrix.yaml") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise MatrixError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    return parse_matrix(data, path.name)


def parse_matrix(data: Any, source: str = "matrix.yaml") -> Matrix:
    """Validate the parsed content of a matrix file. Pure. Raises MatrixError, as `load_matrix`."""
    reader = _Reader(source)
    top = reader.mapping(data, "", required=("airflow", "bases", "dags", "platforms", "defaults"))
    releases = tuple(
        sorted(
            (reader.release(item, f"airflow[{i}]") for i, item in enumerate(reader.items(top["airflow"], "airflow"))),
            key=lambda release: version_key(release.version),
        )
    )
    seen: set[str] = set()
    for release in releases:
        if release.version in seen:
            reader.fail("airflow", f"version {release.version} is listed twice")
        seen.add(release.version)
    bases = {name: reader.base(item, f"bases.{name}") for name, item in reader.mapping(top["bases"], "bases").items()}
    dags = {name: reader.string(text, f"dags.{name}") for name, text in reader.mapping(top["dags"], "dags").items()}
    for name in dags:
        if name not in _DAG_MODES:
            reader.fail(f"dags.{name}", f"unknown DAG mode; known: {', '.join(_DAG_MODES)}")
    platforms = tuple(
        reader.string(item, f"platforms[{i}]", _PLATFORM, "a platform such as linux/amd64")
        for i, item in enumerate(reader.items(top["platforms"], "platforms"))
    )
    return Matrix(releases, bases, dags, platforms, reader.defaults(top["defaults"], bases, dags))


class _Reader:
    """Typed access to parsed YAML; errors name the path of the value."""

    def __init__(self, source: str) -> None:
        self.source = source

    def fail(self, path: str, problem: str) -> None:
        raise MatrixError(f"{self.source}: {path or 'top level'}: {problem}")

    def mapping(self, value: Any, path: str, required: tuple[str, ...] = ()) -> dict[str, Any]:
        """A mapping; with ``required``, of exactly these keys."""
        if not isinstance(value, dict) or not value:
            self.fail(path, f"expected a mapping, got {_describe(value)}")
        for key in value:
            if not isinstance(key, str):
                self.fail(path, f"key {key!r} must be a string: quote it")
            if required and key not in required:
                self.fail(_join(path, key), f"unknown key; known: {', '.join(required)}")
        for key in required:
            if key not in value:
                self.fail(_join(path, key), "missing")
        return dict(value)

    def items(self, value: Any, path: str, empty: bool = False) -> list[Any]:
        if not isinstance(value, list) or not (value or empty):
            self.fail(path, f"expected a list, got {_describe(value)}")
        return list(value)

    def string(self, value: Any, path: str, pattern: re.Pattern[str] | None = None, expected: str = "a string") -> str:
        if isinstance(value, float):
            self.fail(path, f"expected {expected}, got the number {value}: quote it, or 3.10 becomes 3.1")
        if not isinstance(value, str) or not value or (pattern and not pattern.fullmatch(value)):
            self.fail(path, f"expected {expected}, got {_describe(value)}")
        return str(value)

    def release(self, value: Any, path: str) -> AirflowRelease:
        entry = self.mapping(value, path, required=("version", "python", "default-python"))
        version = self.string(entry["version"], f"{path}.version", RELEASE, "a release such as 2.10.5")
        pythons = [
            self.string(item, f"{path}.python[{i}]", PYTHON, 'a Python such as "3.12"')
            for i, item in enumerate(self.items(entry["python"], f"{path}.python"))
        ]
        if len(set(pythons)) != len(pythons):
            self.fail(f"{path}.python", "a version is listed twice")
        default = self.string(entry["default-python"], f"{path}.default-python")
        if default not in pythons:
            self.fail(f"{path}.default-python", f"{default} is not one of {', '.join(pythons)}")
        return AirflowRelease(version, tuple(sorted(pythons, key=version_key)), default)

    def base(self, value: Any, path: str) -> BaseFlavour:
        entry = self.mapping(value, path, required=("image", "install"))
        self.string(path.partition(".")[2], path, _BASE_NAME, "a name of lower-case letters other than custom")
        image = self.string(entry["image"], f"{path}.image")
        for placeholder in re.findall(r"\{[^}]*\}?|\}", image):
            if placeholder not in ("{airflow}", "{python}"):
                self.fail(f"{path}.image", "may hold the placeholders {airflow} and {python} only")
        install = tuple(
            self.string(item, f"{path}.install[{i}]", _DISTRIBUTION, "a distribution such as boto3 or boto3==1.37.38")
            for i, item in enumerate(self.items(entry["install"], f"{path}.install", empty=True))
        )
        return BaseFlavour(image, install)

    def defaults(self, value: Any, bases: Mapping[str, Any], dags: Mapping[str, Any]) -> Defaults:
        entry = self.mapping(value, "defaults", required=("base", "dags", "repository", "container-dag-path"))
        texts = {key: self.string(item, f"defaults.{key}") for key, item in entry.items()}
        for key, known in (("base", bases), ("dags", dags)):
            if texts[key] not in known:
                self.fail(f"defaults.{key}", f"{texts[key]!r} is not one of {', '.join(known)}")
        if not texts["container-dag-path"].startswith("/"):
            self.fail("defaults.container-dag-path", "expected an absolute path")
        return Defaults(texts["base"], texts["dags"], texts["repository"], texts["container-dag-path"])


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _describe(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, (dict, list)):
        return f"an empty {type(value).__name__}" if not value else f"a {type(value).__name__}"
    return repr(value)
