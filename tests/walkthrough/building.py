"""What builds images by the commands of the documentation."""

from __future__ import annotations

import re
import shlex

from tests.images.product import build_flags

NEEDED = ("build.py", "matrix.yaml", "images", "entrypoint", "executor")
"""What the build tool consists of."""


def buildable(code: str) -> str:
    """Commands with what every build on this machine needs: a company's CA, where there is one (docs/images.md)."""
    return re.sub(
        r"^python build\.py (?=--)", f"python build.py {shlex.join(build_flags())} ", code, flags=re.MULTILINE
    )
