"""The folders that tests name."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
ENTRYPOINT = ROOT / "entrypoint"
"""The folder that holds the package: for PYTHONPATH."""
EXECUTOR = ROOT / "executor"
TOOLS = Path(sys.executable).parent
"""The environment's ``bin`` folder."""
