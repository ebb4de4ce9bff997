"""Build step: install Python packages into Airflow's environment without moving Airflow.

Runs as the user airflow with the interpreter of the image (3.8 and up), standard library only. Airflow's own version
is always pinned; the constraints are the image's own, a file, or none.
"""

import argparse
import importlib
import importlib.metadata
import os
import re
import subprocess
import sys
import tempfile

# These decide "the version of Airflow"; a requirement must never move them.
AIRFLOW_DISTRIBUTIONS = ("apache-airflow", "apache-airflow-core", "apache-airflow-task-sdk")


def airflow_versions():
    """Return the installed versions of Airflow's own distributions, as they are on disk now."""
    importlib.invalidate_caches()
    versions = {}
    for name in AIRFLOW_DISTRIBUTIONS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pass
    return versions


def image_constraints():
    """Return the constraints of the base image: the file that official images have, else what is installed now."""
    shipped = os.path.join(os.environ.get("AIRFLOW_USER_HOME_DIR", "/home/airflow"), "constraints.txt")
    if os.path.isfile(shipped):
        with open(shipped, encoding="utf-8") as file:
            return file.read()
    return subprocess.check_output(
        [sys.executable, "-m", "pip", "list", "--format=freeze", "--disable-pip-version-check"], text=True
    )


def without_airflow(constraints):
    """Return constraints without lines on Airflow itself, which `airflow_versions` pins."""
    ours = re.compile(r"({})\s*(\[.*\])?\s*==".format("|".join(AIRFLOW_DISTRIBUTIONS)), re.IGNORECASE)
    return "\n".join(line for line in constraints.splitlines() if not ours.match(line.strip()))


def pip_environment():
    """Return pip's environment, with the company's CA and configuration if the build has them as secrets."""
    environment = dict(os.environ, PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_INPUT="1", PIP_ROOT_USER_ACTION="ignore")
    environment.pop("PIP_USER", None)  # older official images set it, and pip refuses it in a virtual environment
    ca_bundle, pip_config = "/run/secrets/ca-bundle", "/run/secrets/pip-config"
    if os.path.isfile(ca_bundle):
        environment.update(PIP_CERT=ca_bundle, SSL_CERT_FILE=ca_bundle, REQUESTS_CA_BUNDLE=ca_bundle)
    if os.path.isfile(pip_config):
        environment["PIP_CONFIG_FILE"] = pip_config
    return environment


def run_pip(arguments):
    """Run pip and show its output; return the exit code and the output."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pip", *arguments],
        env=pip_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines = []
    for line in process.stdout:
        sys.stdout.write(line)
        sys.stdout.flush()
        lines.append(line.rstrip())
    return process.wait(), lines


def explain(lines, versions):
    """Return one sentence on why pip failed, with the requirement that would change Airflow if that is the reason."""
    # pip's account of a conflict: `The user requested X`, `Y 1.0 depends on X>=2`, `(constraint) X==1`.
    account = [line.strip() for line in lines if re.search(r"user requested|depends on", line)]
    airflow = re.compile(r"(?<![\w-])({})(?![\w-])".format("|".join(re.escape(name) for name in versions)))
    culprits = [line for line in account if airflow.search(line) and "(constraint)" not in line]
    if culprits:
        return f"a requirement would change Airflow {versions['apache-airflow']}: {'; '.join(culprits)}"
    if account:
        conflict = "; ".join(account)
        return f"the requirements conflict: {conflict}. Change them, or give --constraints FILE or none"
    errors = [line.strip() for line in lines if line.lstrip().upper().startswith("ERROR")]
    return "pip could not install the packages" + (": " + errors[-1] if errors else ", see above")


def explain_moved(moved, lines, versions):
    """One sentence on packages of Airflow that came beside the ones that are pinned, and which requirement asked."""
    brought = []
    for name, version in sorted(moved):
        asked = [line.strip() for line in lines if re.match(rf"\s*Collecting {re.escape(name)}[^\w-]", line)]
        brought.append(" ".join([name, version, *(f"({line})" for line in asked)]))
    return f"a requirement would change Airflow {versions['apache-airflow']}: it brings {', '.join(brought)}"


def fail(message):
    """Print an error in the form that the build tool finds in Docker's output, and return the exit code."""
    print("airflow-ecs-build: error: " + message, file=sys.stderr)
    return 1


def main():
    """Install the packages."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--constraints", default="image", help="image, none, or a file")
    parser.add_argument("--requirements", help="a requirements file")
    parser.add_argument("packages", nargs="*")
    arguments = parser.parse_args()
    os.umask(0o002)  # any UID with GID 0 may use, and a derived image upgrade, what is installed here

    before = airflow_versions()
    constraints = ""
    if arguments.constraints == "image":
        constraints = without_airflow(image_constraints())
    elif arguments.constraints != "none":
        with open(arguments.constraints, encoding="utf-8") as file:
            constraints = without_airflow(file.read())
    with tempfile.NamedTemporaryFile("w", suffix=".txt", delete=False) as file:
        file.write(constraints + "\n")
        file.writelines("{}=={}\n".format(*pin) for pin in before.items())

    command = ["install", "--constraint", file.name, *arguments.packages]
    if arguments.requirements:
        command += ["--requirement", arguments.requirements]
    code, lines = run_pip(command)
    os.unlink(file.name)
    if code:
        return fail(explain(lines, before))
    moved = set(airflow_versions().items()) - set(before.items())
    if moved:
        return fail(explain_moved(moved, lines, before))
    code, lines = run_pip(["check"])
    if code:
        return fail("the dependency check found: {}".format("; ".join(lines)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
