"""Command line: ``python -m local.machine.bases ensure IMAGE…`` and ``lock``."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from images.errors import MatrixError
from images.matrix import load_matrix
from local.errors import BaseImageError
from local.machine.bases import Base, ensure_base
from local.machine.bases.locks import write_locks
from local.machine.console import guarded

_IMAGE = re.compile(
    r"(?:(?:docker\.io/)?apache/airflow:)?(?P<slim>slim-)?(?P<airflow>\d[^-]*)-python(?P<python>3\.\d+)"
)


def parse_image(text: str) -> Base:
    """``apache/airflow:slim-2.10.5-python3.8``, or its tag alone → what it holds."""
    match = _IMAGE.fullmatch(text)
    if match is None:
        raise BaseImageError(
            f"{text!r} is not the name of an official image, such as apache/airflow:2.10.5-python3.8 "
            "or slim-2.10.5-python3.8"
        )
    return Base(match["airflow"], match["python"], "slim" if match["slim"] else "full")


def _ensure(bases: Sequence[Base]) -> None:
    """Make images available side by side; what two of them need is made once."""
    with ThreadPoolExecutor() as pool:
        making = [pool.submit(ensure_base, base.airflow, base.python, base.flavour) for base in bases]
        for made in making:
            made.result()


def _lock(versions: Sequence[str]) -> None:
    """Write the locks of the given versions, or of all in the matrix."""
    try:
        lowest = {release.version: release.pythons[0] for release in load_matrix().releases}
    except MatrixError as error:
        raise BaseImageError(str(error)) from None
    unknown = [version for version in versions if version not in lowest]
    if unknown:
        raise BaseImageError(f"Not in matrix.yaml: {', '.join(unknown)}. It has: {', '.join(lowest)}")
    write_locks((version, lowest[version]) for version in versions or lowest)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one sub-command and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local.machine.bases", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    ensure = commands.add_parser("ensure", help="make base images available to the local engine")
    ensure.add_argument("images", nargs="+", metavar="IMAGE", help="apache/airflow:2.10.5-python3.8, or its tag")
    lock = commands.add_parser("lock", help="resolve and write the locked versions again")
    lock.add_argument("versions", nargs="*", metavar="AIRFLOW", help="default: all of matrix.yaml")
    options = parser.parse_args(arguments)
    if options.command == "ensure":
        _ensure([parse_image(image) for image in options.images])
    else:
        _lock(options.versions)
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
