"""CPython interpreters that a stand-in base image can be made with."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from local.machine.bases.debian import DEBIAN_PYTHON

_QUERY = (
    "import sys, sysconfig, platform; "
    "print(platform.python_version(), sys.base_prefix, platform.python_implementation(), "
    "sysconfig.get_config_var('Py_GIL_DISABLED') or 0)"
)
_SKIPPED_FOLDERS = frozenset(
    {"__pycache__", "test", "tests", "idle_test", "site-packages", "idlelib", "tkinter", "turtledemo"}
)
_OLDEST = (3, 8)
_SKIPPED_SUFFIXES = (".pyc", ".a", ".exe")


@dataclass(frozen=True)
class Interpreter:
    """One CPython on this machine; ``prefix`` is None for the Python of Debian's own packages."""

    version: str
    prefix: Path | None

    @property
    def minor(self) -> str:
        """Major and minor version, such as ``3.12``."""
        return minor_of(self.version)

    @property
    def executable(self) -> str:
        """Path of the interpreter inside a stand-in image."""
        folder = "/usr/bin" if self.prefix is None else "/usr/local/bin"
        return f"{folder}/python{self.minor}"


def minor_of(version: str) -> str:
    """``3.12.1`` → ``3.12``."""
    return ".".join(version.split(".")[:2])


def version_key(version: str) -> tuple[int, ...]:
    """Return a key that sorts versions by their numbers."""
    return tuple(int(number) for number in re.findall(r"\d+", version))


def _candidate_prefixes() -> Iterator[Path]:
    """Return folders that may hold a relocatable CPython."""
    home = Path.home()
    roots = [
        Path(os.environ.get("PYENV_ROOT") or home / ".pyenv") / "versions",
        Path("/opt/python"),
        Path(os.environ.get("RUNNER_TOOL_CACHE") or "/opt/hostedtoolcache") / "Python",
        home / ".local" / "share" / "uv" / "python",
    ]
    for root in roots:
        if root.is_dir():
            for folder in sorted(root.iterdir()):
                # GitHub's tool cache has one more level: Python/3.12.1/x64
                yield from (folder, *sorted(folder.glob("x64")), *sorted(folder.glob("arm64")))
    yield Path("/usr/local")
    yield Path(sys.base_prefix)


def _query(executable: Path) -> Interpreter | None:
    """Return the interpreter behind an executable, or None if it is not a regular CPython."""
    try:
        done = subprocess.run(
            [str(executable), "-I", "-S", "-c", _QUERY], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    fields = done.stdout.split()
    if done.returncode != 0 or len(fields) != 4 or fields[2] != "CPython" or fields[3] != "0":
        return None
    return Interpreter(fields[0], Path(fields[1]))


def _runs_in_debian(interpreter: Interpreter) -> bool:
    """Return whether the copied files can run in the image: not a distribution's own split-up Python."""
    prefix = interpreter.prefix
    return (
        prefix is not None
        and version_key(interpreter.version) >= _OLDEST
        and prefix != Path("/usr")
        and (prefix / "lib" / f"python{interpreter.minor}" / "os.py").is_file()
    )


@lru_cache(maxsize=1)
def available_pythons() -> dict[str, Interpreter]:
    """Return the interpreters a stand-in can be made with, one for each minor version, newest patch release first."""
    found = {minor_of(DEBIAN_PYTHON): Interpreter(DEBIAN_PYTHON, None)}
    if platform.system() != "Linux":
        return found
    seen: set[Path] = set()
    for prefix in _candidate_prefixes():
        for executable in sorted((prefix / "bin").glob("python3.*")):
            resolved = executable.resolve()
            if not re.fullmatch(r"python3\.\d+", executable.name) or resolved in seen:
                continue
            seen.add(resolved)
            interpreter = _query(executable)
            if interpreter is None or not _runs_in_debian(interpreter):
                continue
            known = found.get(interpreter.minor)
            if known is None or (
                known.prefix is not None and version_key(interpreter.version) > version_key(known.version)
            ):
                found[interpreter.minor] = interpreter
    return dict(sorted(found.items(), key=lambda item: version_key(item[0])))


def _ignored(_folder: str, names: list[str]) -> set[str]:
    """Return names that a stand-in image does not need."""
    return {name for name in names if name in _SKIPPED_FOLDERS or name.endswith(_SKIPPED_SUFFIXES)}


def stage(interpreter: Interpreter, target: Path) -> None:
    """Copy what the image needs of an interpreter to ``target``, laid out for /usr/local."""
    if interpreter.prefix is None:
        return
    source = interpreter.prefix
    name = f"python{interpreter.minor}"
    library = target / "lib" / name
    shutil.copytree(source / "lib" / name, library, symlinks=True, ignore=_ignored)
    for shared in sorted((source / "lib").glob("libpython3*.so*")):
        shutil.copy2(shared, target / "lib" / shared.name, follow_symlinks=False)
    for static in library.glob(f"config-{interpreter.minor}*"):
        shutil.rmtree(static)
    (library / "site-packages").mkdir()
    _relocate(library, source)
    binaries = target / "bin"
    binaries.mkdir()
    shutil.copy2(source / "bin" / name, binaries / name)
    for alias in ("python3", "python"):
        (binaries / alias).symlink_to(name)


def _relocate(library: Path, prefix: Path) -> None:
    """Replace the build machine's prefix in the recorded build variables."""
    for recorded in library.glob("_sysconfigdata*.py"):
        text = recorded.read_text(encoding="utf-8")
        times = recorded.stat()
        recorded.write_text(text.replace(str(prefix), "/usr/local"), encoding="utf-8")
        os.utime(recorded, ns=(times.st_atime_ns, times.st_mtime_ns))
