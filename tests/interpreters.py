"""The Python interpreters on this machine."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

OWN = f"{sys.version_info.major}.{sys.version_info.minor}"


@lru_cache(maxsize=1)
def interpreters() -> dict[str, str]:
    """Return the interpreters from Python 3.8 on by version: this one, those on PATH, and those of pyenv."""
    found = {OWN: sys.executable}
    for minor in range(8, 16):
        version = f"3.{minor}"
        pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
        path = str(pyenv[-1]) if pyenv else shutil.which(f"python{version}")
        if (
            path
            and version not in found
            and subprocess.run([path, "-c", "import venv"], capture_output=True).returncode == 0
        ):
            found[version] = path
    return dict(sorted(found.items(), key=lambda item: int(item[0].split(".")[1])))
