"""Print as JSON what the image is. `images.verify` runs this in a container. Standard library, Python 3.8 or newer."""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys


def version_of(distribution):
    """Return the version of an installed distribution, or None."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def output_of(*command):
    """Return the last line that a command prints, or its failure."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"failed: {error}"
    lines = done.stdout.strip().splitlines() or [""]
    return lines[-1] if done.returncode == 0 else "failed: " + lines[-1]


def dependency_check():
    """Return what `pip check` finds that it did not find in the base image, in one line."""
    command = [sys.executable, "-m", "pip", "check", "--disable-pip-version-check"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        with open("/opt/airflow-ecs/base-dependency-check.txt", encoding="utf-8") as file:
            of_base = file.read().splitlines()
    except OSError:
        of_base = []
    new = [line for line in done.stdout.splitlines() if line not in of_base]
    return "; ".join(new) if done.returncode and new else "No broken requirements found."


def bytecode_share():
    """Return the share of Airflow's own modules that have bytecode, 0 to 1."""
    import importlib.util

    folder = os.path.dirname(importlib.util.find_spec("airflow").origin)
    sources = compiled = 0
    for path, _, files in os.walk(os.path.join(folder, "models")):
        for name in files:
            if name.endswith(".py"):
                sources += 1
                compiled += os.path.exists(importlib.util.cache_from_source(os.path.join(path, name)))
    return compiled / sources if sources else 0


def main():
    """Print the facts."""
    writable = {}
    for path in [os.environ.get("CONTAINER_DAG_PATH", "/opt/airflow/dags"), "/opt/airflow/logs", "/tmp"]:
        writable[path] = os.access(path, os.W_OK)
    facts = {
        "airflow": version_of("apache-airflow"),
        "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "entrypoint": version_of("airflow-ecs-entrypoint"),
        "boto3": version_of("boto3"),
        "uid": os.getuid(),
        "gid": os.getgid(),
        "aws_cli": output_of("aws", "--version") if shutil.which("aws") else None,
        "dependency_check": dependency_check(),
        "bytecode": bytecode_share(),
        "writable": writable,
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
