"""What a reader of the documentation has who builds images: a copy of the project, and commands that work here."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterable
from pathlib import Path

from tests.docs.pages import ROOT
from tests.images.product import build_flags

NEEDED = ("build.py", "matrix.yaml", "images", "entrypoint", "executor")
"""What the build tool consists of."""


def copy_project(folder: Path, names: Iterable[str] = NEEDED) -> None:
    """Copy parts of the project to a folder, in which commands of the documentation may then write."""
    for name in names:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, folder / name)


def buildable(code: str) -> str:
    """Commands with what every build on this machine needs: a company's CA, where there is one (docs/images.md)."""
    return re.sub(
        r"^python build\.py (?=--)", f"python build.py {shlex.join(build_flags())} ", code, flags=re.MULTILINE
    )
