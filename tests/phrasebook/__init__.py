"""Real messages of AWS, Docker and registries, and what this project makes of them.

Each line of a corpus (``*.jsonl``) is an entry of `tests.phrasebook.entry`: a message as somebody met it, with its
source, what it means, and what useful advice has to say. ``python -m tests.phrasebook`` prints the score.
"""

import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
# Run as a program, this finds executor and entrypoint where they are, not installed.
sys.path[:0] = [str(_ROOT / name) for name in ("executor", "entrypoint") if str(_ROOT / name) not in sys.path]
