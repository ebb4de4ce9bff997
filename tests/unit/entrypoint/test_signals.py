from __future__ import annotations

import os
import signal

from airflow_ecs_entrypoint.signals import Interruption


def test_a_signal_waits_for_the_end_of_what_must_not_be_cut():
    """A folder that is being put in place, say."""
    came: list[int] = []
    former = signal.getsignal(signal.SIGHUP)
    interruption = Interruption(came.append)
    interruption.install((signal.SIGHUP,))
    try:
        with interruption.deferred():
            os.kill(os.getpid(), signal.SIGHUP)
            assert came == []
        assert came == [signal.SIGHUP]
        os.kill(os.getpid(), signal.SIGHUP)
        assert came == [signal.SIGHUP] * 2, "at once, outside"
    finally:
        signal.signal(signal.SIGHUP, former)
