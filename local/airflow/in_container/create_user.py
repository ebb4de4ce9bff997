"""Create a user of Airflow 2's UI as `airflow users create` does, with a password that no command line shows.

Runs inside a container of the image; takes the name of a JSON file: ``{"username": …, "password": …}``.
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path


def arguments(user: dict[str, str]) -> list[str]:
    """Return the arguments of the `airflow` command."""
    named = {
        "username": user["username"],
        "password": user["password"],
        "firstname": "Local",
        "lastname": "User",
        "role": "Admin",
        "email": user["username"] + "@example.org",
    }
    return ["users", "create", *(f"--{name}={value}" for name, value in named.items())]


def main() -> int:
    """Create the user by Airflow's own command line, inside of this process."""
    user = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    sys.argv = ["airflow", *arguments(user)]
    runpy.run_module("airflow", run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main())
