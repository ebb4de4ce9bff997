"""Which part may import which, and that no import goes in a circle."""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path

import pytest

from tests.paths import ROOT

EXECUTOR, ENTRYPOINT = "airflow_ecs_executor", "airflow_ecs_entrypoint"
FOLDERS = {EXECUTOR: ROOT / "executor", ENTRYPOINT: ROOT / "entrypoint", "images": ROOT, "local": ROOT}
PURE_MODULES_OF_THE_ENTRYPOINT = tuple(f"{ENTRYPOINT}.{name}" for name in ("errors", "s3_uri", "sync.plan"))
AIRFLOW_MODULES = {f"{EXECUTOR}.executor", f"{EXECUTOR}.airflow_compat"}


LOCAL_ROOMS = {
    "ecs": (),
    "fakes": (),
    "machine": ("ecs",),
    "aws_services": ("ecs", "fakes", "machine"),
    "airflow": ("machine", "aws_services"),
    "demo": ("machine", "aws_services", "airflow"),
}
"""The packages of `local`, and which others each of them imports."""


def rooms_below(room: str) -> tuple[str, ...]:
    """What a package of `local` may import: itself, others below it, and the build tool unless it stands alone."""
    rooms = tuple(f"local.{name}" for name in (room, *LOCAL_ROOMS[room]))
    return (*rooms, "local.errors", "images", f"{EXECUTOR}.aws") if LOCAL_ROOMS[room] else rooms


ROOMS = {
    "aws": ("aws",),
    "image_check": ("image_check", "aws"),
    "config": ("config", "aws"),
    "checks": ("checks", "config", "aws", "image_check", "airflow_side"),
    "launching": ("launching", "checks", "config", "aws", "image_check", "airflow_side", "services"),
}
"""What the rooms of the executor import."""


def modules() -> dict[str, Path]:
    """All modules of the project, by name."""
    return {
        ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__"): path
        for package, folder in FOLDERS.items()
        for path in (folder / package).rglob("*.py")
    }


def imported_by(name: str, path: Path, known: dict[str, Path]) -> set[str]:
    """The modules that a module imports, wherever in its text; names of other projects as they are written."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name} has a relative import"
            module = str(node.module)
            submodules = {f"{module}.{alias.name}" for alias in node.names} & known.keys()
            found.update(submodules or {module})
    return found - {name}


KNOWN = modules()
IMPORTS = {name: imported_by(name, path, KNOWN) for name, path in KNOWN.items()}


def importers_of(*packages: str) -> set[str]:
    return {name for name, imports in IMPORTS.items() if any(within(module, *packages) for module in imports)}


def within(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def test_no_import_goes_in_a_circle() -> None:
    graph = {name: {module for module in imports if module in KNOWN} for name, imports in IMPORTS.items()}
    for name in graph:  # a package's own __init__ is imported by whoever imports from it
        graph[name] -= {parent for parent in graph if name.startswith(f"{parent}.")}
    graphlib.TopologicalSorter(graph).prepare()


@pytest.mark.parametrize(
    ("room", "allowed"),
    [
        *((f"{EXECUTOR}.{room}", tuple(f"{EXECUTOR}.{one}" for one in allowed)) for room, allowed in ROOMS.items()),
        (EXECUTOR, (EXECUTOR,)),
        (ENTRYPOINT, (ENTRYPOINT,)),
        ("images", ("images", f"{EXECUTOR}.aws", f"{EXECUTOR}.image_check", *PURE_MODULES_OF_THE_ENTRYPOINT)),
        *((f"local.{room}", rooms_below(room)) for room in LOCAL_ROOMS),
    ],
)
def test_a_part_imports_only_what_it_may(room: str, allowed: tuple[str, ...]) -> None:
    wrong = {
        f"{name} imports {module}"
        for name, imports in IMPORTS.items()
        if within(name, room)
        for module in imports & KNOWN.keys()
        if not within(module, *allowed)
    }
    assert not wrong


def test_only_what_airflow_calls_imports_airflow() -> None:
    importers = {name for name in importers_of("airflow") if within(name, EXECUTOR)}
    assert importers - {f"{EXECUTOR}.aws.connection", f"{EXECUTOR}.cli.command_line"} == AIRFLOW_MODULES


@pytest.mark.parametrize("library", ["boto3", "botocore"])
def test_launching_talks_to_aws_through_aws(library: str) -> None:
    assert not {name for name in importers_of(library) if within(name, f"{EXECUTOR}.launching")}
