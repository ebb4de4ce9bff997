"""Build step, as root: install the AWS CLI into an environment of its own.

PyPI has version 1, which pins botocore; in Airflow's environment it would break the constraints.
"""

import subprocess
import sys

from install_packages import fail, run_pip

PREFIX = "/opt/aws-cli"


def main():
    """Install the AWS CLI."""
    subprocess.check_call([sys.executable, "-m", "venv", "--without-pip", PREFIX])
    locked = ["--require-hashes", "--only-binary", ":all:", "--requirement", sys.argv[1]]
    code, lines = run_pip(["--python", PREFIX + "/bin/python", "install", *locked])
    if code:
        errors = [line.strip() for line in lines if line.lstrip().upper().startswith("ERROR")]
        return fail("the AWS CLI could not be installed" + (": " + errors[-1] if errors else ", see above"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
