"""Errors that end the container before its command runs, with the exit codes of the image contract."""

from __future__ import annotations


class EntrypointError(Exception):
    """An error that is reported in one line.

    The message says what failed, on which object, and what to do. It never contains a credential, a command
    argument, or the value of an environment variable that might contain one. The location of arguments in S3 may
    be shown.
    """

    exit_code = 82
    temporary = False
    """Whether the error may disappear when the container is started again."""


class SettingsError(EntrypointError):
    """A setting is missing or malformed. Permanent."""

    exit_code = 80


class AccessError(EntrypointError):
    """There are no AWS credentials, or S3 refused them. Permanent."""

    exit_code = 81


class DagsError(EntrypointError):
    """The DAGs are invalid, or they cannot be written to this folder. Permanent."""

    exit_code = 82


class VersionError(EntrypointError):
    """The command requires another Airflow than that of this image. Permanent."""

    exit_code = 83


class UnavailableError(EntrypointError):
    """S3 throttled a request, was unreachable or too slow, or closed the connection. Temporary."""

    exit_code = 84
    temporary = True


class ChangedError(UnavailableError):
    """An object was replaced or deleted after it had been listed. Another listing gives a consistent set."""


class StoppedError(EntrypointError):
    """The container was stopped before its command was started. Nothing of the command has run."""

    exit_code = 85
    temporary = True


class NotExecutableError(EntrypointError):
    """The command exists, but the kernel could not run it (exit code 126 of a shell)."""

    exit_code = 126


class NotFoundError(EntrypointError):
    """The command does not exist (exit code 127 of a shell)."""

    exit_code = 127
