"""Build step, as root: the AWS CLI in an environment of its own.

From PyPI it is version 1, which pins botocore; in Airflow's environment it would break the constraints.
"""

import subprocess
import sys

from install_packages import pip_environment

PREFIX = "/opt/aws-cli"


def main():
    subprocess.check_call([sys.executable, "-m", "venv", "--without-pip", PREFIX])
    pip = [sys.executable, "-m", "pip", "--python", PREFIX + "/bin/python"]
    locked = ["--require-hashes", "--only-binary", ":all:", "--requirement", sys.argv[1]]
    return subprocess.call([*pip, "install", *locked], env=pip_environment())


if __name__ == "__main__":
    sys.exit(main())
