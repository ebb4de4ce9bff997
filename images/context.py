"""Write the folder that Docker builds from: Dockerfiles, build steps, the entrypoint's wheel, the user's files."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

from images.inputs import files_of, read_text
from images.render import render
from images.spec import ImageSpec, Options

_HERE = Path(__file__).resolve().parent
ENTRYPOINT_PROJECT = _HERE.parent / "entrypoint"

# 1980-01-01: the earliest time a wheel (a zip file) can hold. Makes the wheel's bytes depend on its sources alone.
_WHEEL_EPOCH = "315532800"


def build_wheel(directory: Path, project: Path = ENTRYPOINT_PROJECT) -> str:
    """Build a project's wheel, the entrypoint's by default, and return its file name.

    This needs no network, and the wheel's bytes depend on the sources alone.
    """
    from hatchling.builders.wheel import WheelBuilder  # slow to import, and needed by builds only

    previous = os.environ.get("SOURCE_DATE_EPOCH")
    os.environ["SOURCE_DATE_EPOCH"] = _WHEEL_EPOCH
    try:
        (wheel,) = WheelBuilder(str(project)).build(directory=str(directory), versions=["standard"])
    finally:
        if previous is None:
            del os.environ["SOURCE_DATE_EPOCH"]
        else:
            os.environ["SOURCE_DATE_EPOCH"] = previous
    return Path(wheel).name


def dockerfile_name(spec: ImageSpec) -> str:
    """Return the name of a spec's Dockerfile in a context that several specs share."""
    return f"{spec.identifier}.Dockerfile"


def write_context(directory: Path, specs: Sequence[ImageSpec], options: Options) -> None:
    """Write a build context for one or more images that share their options.

    The images share one folder: Docker sends it once, and runs the steps that they have in common once.
    """
    steps = directory / "steps"
    shutil.copytree(_HERE / "steps", steps, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(_HERE / "aws-cli" / "requirements.txt", steps / "aws-cli.txt")
    wheel = build_wheel(directory / "wheels")
    if options.requirements:
        _write(directory / "requirements.txt", options.requirements.text)
        if options.requirements.has_files:
            options.requirements.write_files(directory / "requirement-files")
    if options.constraints_file:
        _write(directory / "constraints.txt", read_text(options.constraints_file, "--constraints"))
    if options.airflow_cfg:
        _write(directory / "airflow.cfg", read_text(options.airflow_cfg, "--airflow-cfg"))
    for name, source in (
        ("dags", options.dag_path),
        ("plugins", options.plugins_path),
        ("config", options.config_path),
    ):
        if source:
            for file in files_of(source):
                destination = directory / name / file.relative_to(source)
                destination.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, destination)
    for spec in specs:
        _write(directory / dockerfile_name(spec), render(spec, wheel))
    for path in directory.rglob("*"):
        _set_plain_mode(path)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _set_plain_mode(path: Path) -> None:
    """Set a mode that does not depend on the umask; GID 0 has the owner's permissions, so that any UID can work."""
    if path.is_dir():
        path.chmod(0o775)
    else:
        executable = path.stat().st_mode & stat.S_IXUSR
        path.chmod(0o775 if executable else 0o664)
