"""Errors that end a local run: one message for a person, one exit code per kind of failure."""

from __future__ import annotations


class LocalError(Exception):
    """A failure whose message says what went wrong and what to do about it."""

    exit_code = 40


class TerminatedError(KeyboardInterrupt):
    """A signal asks this run to end. Like Ctrl-C, it passes every ``except Exception`` and ends a pytest session."""

    def __init__(self, signal_number: int) -> None:
        """Keep the shell's exit code for the signal."""
        super().__init__(f"ended by signal {signal_number}")
        self.exit_code = 128 + signal_number


class EngineError(LocalError):
    """No usable Docker engine, or the engine refused a request."""

    exit_code = 41


class BaseImageError(LocalError):
    """A base image is missing and cannot be pulled or built."""

    exit_code = 42


class BuildError(LocalError):
    """The build tool did not deliver the image."""

    exit_code = 43


class ServiceError(LocalError):
    """PostgreSQL, the AWS stand-in or Airflow's API server did not come up."""

    exit_code = 44


class NoAnswerError(ServiceError):
    """A service did not answer: it is not running, or it is overloaded. A later call may succeed."""

    exit_code = 47


class PrepareError(LocalError):
    """The database could not be migrated, or the DAG run could not be created."""

    exit_code = 45


class TaskFailedError(LocalError):
    """The task ran and did not reach success."""

    exit_code = 46
