"""The notes of a release, from the changelog: release_notes.py vX.Y.Z. Fails where tag, versions and it differ."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = ("entrypoint/airflow_ecs_entrypoint", "executor/airflow_ecs_executor")


def versions(root: Path) -> dict[str, str]:
    """The version of each distribution, by its folder."""
    found = {}
    for package in _PACKAGES:
        text = (root / package / "__init__.py").read_text(encoding="utf-8")
        match = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
        found[package] = match[1] if match else "none"
    return found


def section(changelog: str, version: str) -> str:
    """What the changelog says of a version, without its heading; empty if it is not there or not released."""
    found = re.search(rf"^## {re.escape(version)}(?! \(unreleased\))[^\n]*\n(.*?)(?=^## |\Z)", changelog, re.M | re.S)
    return found[1].strip() if found else ""


def main(tag: str, root: Path = ROOT) -> int:
    """Print the notes; 1 with the reason when the release is not ready."""
    version = tag.removeprefix("v")
    wrong = [f"{package} is {found}" for package, found in versions(root).items() if found != version]
    notes = section((root / "CHANGELOG.md").read_text(encoding="utf-8"), version)
    if not notes:
        wrong.append(f"CHANGELOG.md has no section of a released {version}")
    for text in wrong:
        print(f"{tag}: {text}", file=sys.stderr)
    print(notes)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
