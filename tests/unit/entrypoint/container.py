"""What the tests need to play a container: its commands, environment and folders."""

from __future__ import annotations

import json
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from airflow_ecs_entrypoint.sync.plan import OWN_FOLDER

SECRET = "wJalrXUtnFEMIsecretK7MDENG"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.task-token"
TASK = ("tasks", "run", "dag", "task", "run1", "--local")
WORKLOAD_MODULE = "airflow.sdk.execution_time.execute_workload"
S3 = {"AIRFLOW_ECS_DAGS": "s3", "S3_URI": "s3://bucket/dags"}


def changed(environ: dict[str, str], changes: dict[str, object]) -> dict[str, str]:
    merged = {**environ, **dict(changes.items())}
    return {name: str(value) for name, value in merged.items() if value is not None}


def wait_until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "did not happen in time"
        time.sleep(0.02)


def shown(result: subprocess.CompletedProcess[str]) -> Any:
    """The JSON that a successful command has printed."""
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return path


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder`` by its relative path, but for what the entrypoint keeps for itself."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and OWN_FOLDER not in path.parts
    }


def names(folder: Path) -> list[str]:
    """What lies directly in ``folder``, sorted, but for what the entrypoint keeps for itself."""
    return sorted(path.name for path in folder.iterdir() if path.name != OWN_FOLDER)


def staging(folder: Path) -> list[str]:
    """The staging folders in ``folder``."""
    return sorted(path.name for path in (folder / OWN_FOLDER).glob("staging-*"))
