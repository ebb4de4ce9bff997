#!/usr/bin/env python3
"""Build Airflow worker images for Amazon ECS: ``python build.py --python 3.8 --dags s3``."""

import shlex
import signal
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
DEPENDENCY_EXIT_CODE = 6  # all are in images/errors.py, which an old Python may be unable to import


def how_to_install() -> str:
    """Return the command that installs what is missing: into the environment that runs this, or into a new one."""
    python, requirements = shlex.quote(sys.executable), shlex.quote(str(HERE / "requirements" / "build.txt"))
    if sys.prefix != sys.base_prefix:
        return f"{python} -m pip install -r {requirements}"
    environment = shlex.quote(str(HERE / ".venv"))
    return (
        f"{python} -m venv {environment} && {environment}/bin/pip install -r {requirements}"
        f"  (then start build.py by {environment}/bin/python)"
    )


def main() -> int:
    """Run the command line. If Python is too old, or a package is missing, one line says what to do."""
    if sys.version_info < (3, 10):  # noqa: UP036 - this file runs on whatever `python` is
        found = ".".join(map(str, sys.version_info[:2]))
        print(f"build.py: error: this is Python {found}, and build.py needs 3.10 or newer.", file=sys.stderr)
        return DEPENDENCY_EXIT_CODE
    if str(HERE) not in sys.path:  # python -I and PYTHONSAFEPATH leave it out
        sys.path.insert(0, str(HERE))
    try:
        from images.cli import run
    except ModuleNotFoundError as error:
        package = (error.name or "images").split(".")[0]
        if package == "images":
            raise
        print(f"build.py: error: the package {package!r} is not installed. Run: {how_to_install()}", file=sys.stderr)
        return DEPENDENCY_EXIT_CODE
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a cancelled CI job cleans up as Ctrl-C does
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
