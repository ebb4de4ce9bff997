"""Builds of images with the commands of the documentation."""

from __future__ import annotations

import re
import shlex

from tests.images.product import build_flags

NEEDED = ("build.py", "matrix.yaml", "images", "entrypoint", "executor")
"""The files and folders of the build tool."""


def buildable(code: str) -> str:
    """Add the flags that every build on this machine requires: a company's CA, if there is one (docs/images.md)."""
    return re.sub(
        r"^python build\.py (?=--)", f"python build.py {shlex.join(build_flags())} ", code, flags=re.MULTILINE
    )
