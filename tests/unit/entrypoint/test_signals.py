from __future__ import annotations

import os
import signal

from airflow_ecs_entrypoint.signals import ShutdownHandler


def test_a_signal_waits_for_the_end_of_what_must_not_be_cut():
    """A folder that is being put in place, say."""
    came: list[int] = []
    former = signal.getsignal(signal.SIGUSR1)
    shutdown = ShutdownHandler(came.append)
    shutdown.install((signal.SIGUSR1,))
    try:
        with shutdown.deferred():
            os.kill(os.getpid(), signal.SIGUSR1)
            assert came == []
        assert came == [signal.SIGUSR1]
        os.kill(os.getpid(), signal.SIGUSR1)
        assert came == [signal.SIGUSR1] * 2, "at once, outside"
    finally:
        signal.signal(signal.SIGUSR1, former)
