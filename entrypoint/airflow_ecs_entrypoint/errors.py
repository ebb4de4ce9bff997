"""What can end the container before its command runs, each with the exit code of the image contract."""

from __future__ import annotations


class EntrypointError(Exception):
    """A fault that is reported in one line.

    The text says what failed, on which object, and what to do; it never holds a credential, a command
    argument (where these are in S3 is none), or the value of an environment variable that might carry one.
    """

    exit_code = 82
    temporary = False
    """Whether starting the container again may help."""


class SettingsError(EntrypointError):
    """A runtime setting is missing or malformed. Final."""

    exit_code = 80


class AccessError(EntrypointError):
    """No AWS credentials, or S3 refused them. Final."""

    exit_code = 81


class DagsError(EntrypointError):
    """The DAGs cannot be loaded as they are, or not into this folder. Final."""

    exit_code = 82


class VersionError(EntrypointError):
    """The command does not fit the Airflow of this image. Final."""

    exit_code = 83


class UnavailableError(EntrypointError):
    """S3 was throttled, unreachable, too slow or broke off. Starting the container again may help."""

    exit_code = 84
    temporary = True


class ChangedError(UnavailableError):
    """An object was replaced or deleted after it had been listed; listing again gives a whole set."""


class StoppedError(EntrypointError):
    """The container was asked to end before its command was started: nothing of the command has run."""

    exit_code = 85
    temporary = True


class NotExecutableError(EntrypointError):
    """The command exists but the kernel would not run it (a shell's 126)."""

    exit_code = 126


class NotFoundError(EntrypointError):
    """There is no such command (a shell's 127)."""

    exit_code = 127
