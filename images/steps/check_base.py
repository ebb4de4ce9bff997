"""Build step: compare the base image with what its name promises. Runs as the user airflow, and imports no Airflow.

Importing Airflow would write an airflow.cfg with a generated fernet key, the same for everybody who uses the image.
"""

import argparse
import importlib.metadata
import os
import pwd
import shutil
import sys


def problems(airflow, python):
    """Return what is wrong with this base image, one line each."""
    found = []
    try:
        installed = importlib.metadata.version("apache-airflow")
    except importlib.metadata.PackageNotFoundError:
        found.append("the base image has no Airflow in the Python that is first on PATH")
    else:
        if installed != airflow:
            found.append(f"the base image has Airflow {installed}, not {airflow}: give --airflow {installed}")
    running = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if running != python:
        found.append(f"the base image has Python {running}, not {python}: give --python {running}")
    if not os.access("/usr/bin/dumb-init", os.X_OK):
        found.append("the base image has no /usr/bin/dumb-init: install it there (apt-get install dumb-init)")
    try:
        if pwd.getpwuid(50000).pw_gid != 0:
            found.append("user 50000 of the base image must have group 0 as its first")
    except KeyError:
        found.append("the base image has no user with UID 50000 (airflow)")
    if shutil.which("airflow") is None:
        found.append("the base image has no `airflow` command on PATH")
    return found


def main():
    """Check the base image and end with 1 if something is wrong."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--airflow", required=True)
    parser.add_argument("--python", required=True)
    arguments = parser.parse_args()
    found = problems(arguments.airflow, arguments.python)
    for problem in found:
        print("airflow-ecs-build: error: " + problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
