"""The one line about a start-up, for machines: a JSON object, whole, as log services find it."""

from __future__ import annotations

import json
import sys
import time
from typing import Any, Mapping, Sequence

from airflow_ecs_entrypoint import __version__


class StartUp:
    """Measures the phases of a start-up, from the moment it is made."""

    def __init__(self) -> None:
        self._began = self._mark = time.monotonic()
        self._seconds: dict[str, float] = {}

    def phase(self, name: str) -> None:
        """The phase ``name`` ends now; it began when the one before it ended."""
        now = time.monotonic()
        self._seconds[name] = now - self._mark
        self._mark = now

    def line(
        self,
        command: str,
        arguments: str,
        environ: Mapping[str, str],
        loaded: Sequence[Mapping[str, Any]],
        load: float,
        wait: float,
    ) -> str:
        """The line, when all phases have ended.

        ``command`` is its kind, and ``arguments`` says where it has its arguments from. ``load`` is the time of the
        load, which goes on beside the other phases, and ``wait`` what of it they waited for; both in seconds.
        """
        seconds = {**self._seconds, "load": load, "wait": wait, "total": time.monotonic() - self._began}
        return json.dumps(
            {
                "event": "airflow-ecs-entrypoint: started",
                "command": command,
                "arguments": arguments,
                "entrypoint": __version__,
                "airflow": environ.get("AIRFLOW_VERSION", ""),
                "python": ".".join(map(str, sys.version_info[:3])),
                "sources": list(loaded),
                "seconds": {name: round(value, 3) for name, value in seconds.items()},
            }
        )
