"""The report of a start: one line with a JSON object, which log services can parse."""

from __future__ import annotations

import json
import sys
import time
from typing import Any, Mapping, Sequence

from airflow_ecs_entrypoint import __version__


class StartUp:
    """Measures the phases of a start. The first phase begins when the object is created."""

    def __init__(self) -> None:
        self._began = self._mark = time.monotonic()
        self._seconds: dict[str, float] = {}

    def phase(self, name: str) -> None:
        """End the phase ``name``, which began at the end of the previous phase."""
        now = time.monotonic()
        self._seconds[name] = now - self._mark
        self._mark = now

    def line(
        self,
        command: str,
        arguments: str,
        environ: Mapping[str, str],
        synced: Sequence[Mapping[str, Any]],
        sync: float,
        wait: float,
    ) -> str:
        """Return the line. All phases must have ended.

        ``arguments`` is where the command's arguments come from: ``command`` or ``s3``. ``synced`` has the fields of
        `sync.sync.SyncedSource` for each source; ``sync`` is the duration of the sync, which runs in parallel with the
        other phases, and ``wait`` the time for which this process waited for it, in seconds.
        """
        seconds = {**self._seconds, "load": sync, "wait": wait, "total": time.monotonic() - self._began}
        return json.dumps(
            {
                "event": "airflow-ecs-entrypoint: started",
                "command": command,
                "arguments": arguments,
                "entrypoint": __version__,
                "airflow": environ.get("AIRFLOW_VERSION", ""),
                "python": ".".join(map(str, sys.version_info[:3])),
                "sources": list(synced),
                "seconds": {name: round(value, 3) for name, value in seconds.items()},
            }
        )
