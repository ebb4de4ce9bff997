"""An operator whose ``on_kill`` takes its time, as one that cancels a query or a job elsewhere."""

from __future__ import annotations

import os
import signal
import subprocess
import time

from acme.airflow_compat import BaseOperator


class GracefulOperator(BaseOperator):
    """Runs a process in a session of its own, which nobody but ``on_kill`` ends."""

    def execute(self, context):
        """Wait for the process; fail if it was killed."""
        self.process = subprocess.Popen(["sleep", "600"], start_new_session=True)
        print(f"working, process {self.process.pid}", flush=True)
        code = self.process.wait()
        if code != 0:
            raise RuntimeError(f"the process ended with {code}")

    def on_kill(self):
        """Take two seconds to end the process."""
        print("on_kill began", flush=True)
        time.sleep(2)
        os.kill(self.process.pid, signal.SIGTERM)  # no method of Popen: `execute` is in the middle of one
        print("on_kill ended", flush=True)
