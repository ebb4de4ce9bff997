"""Print the text of Airflow's own example DAGs, as JSON from file name to content.

Runs inside a container of the image; takes module names such as ``example_bash_operator``. Airflow 3 moved
some of the examples to the standard provider.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path

MARKER = "AIRFLOW_ECS_EXAMPLES "


def example_folders() -> Iterator[Path]:
    """Return where example DAGs may be, found without importing Airflow."""
    spec = importlib.util.find_spec("airflow")
    for location in (spec.submodule_search_locations if spec else None) or []:
        yield Path(location, "example_dags")
        yield Path(location, "providers", "standard", "example_dags")


def main() -> int:
    """Print the chosen examples; name those that this Airflow does not have."""
    found: dict[str, str] = {}
    for folder in example_folders():
        for name in sys.argv[1:]:
            path = folder / f"{name}.py"
            if path.is_file():
                found.setdefault(path.name, path.read_text(encoding="utf-8"))
    missing = [name for name in sys.argv[1:] if f"{name}.py" not in found]
    if missing:
        print(f"ERROR: this Airflow has no example DAG {', '.join(missing)}", file=sys.stderr, flush=True)
        return 1
    print(MARKER + json.dumps(found), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
