#!/usr/bin/env python3
"""Build Airflow worker images for Amazon ECS: ``python build.py --python 3.8 --dags s3``."""

import sys


def main() -> int:
    """Run the command line; a missing package is one line with the command to run."""
    try:
        from images.cli import run
    except ModuleNotFoundError as error:
        if (error.name or "images").split(".")[0] == "images":
            raise
        print(
            f"build.py: error: the package {error.name!r} is not installed. "
            f"Run: {sys.executable} -m pip install -r requirements/build.txt",
            file=sys.stderr,
        )
        return 6
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
