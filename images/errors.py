"""Every way the build tool can fail, each with its exit code; 6, a missing package, is build.py's own.

Messages say what is wrong and what to do; `build.py` prints them without a traceback.
"""

from __future__ import annotations

from airflow_ecs_executor.image_check.comparison import EXIT_CODES, Fit


class BuildToolError(Exception):
    """Base of all expected failures. ``exit_code`` is the process's; ``hint`` is what to do."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class RequestError(BuildToolError):
    """The flags ask for something that cannot be: an impossible pair, an unknown pattern, clashing flags."""

    exit_code = 2


class MatrixError(BuildToolError):
    """matrix.yaml is missing or malformed."""

    exit_code = 3


class InputError(BuildToolError):
    """A file or folder that the flags name is missing, unreadable or empty."""

    exit_code = 4


class SecretError(BuildToolError):
    """A value that looks like a secret would be written into the image."""

    exit_code = 5


class RequirementsError(BuildToolError):
    """A requirement would change Airflow's version, or is of a kind that cannot be installed in the image."""

    exit_code = 7


class EngineError(BuildToolError):
    """No Docker client, or the engine does not answer."""

    exit_code = 10


class BuildxError(BuildToolError):
    """The Docker client has no Buildx."""

    exit_code = 11


class BaseImageError(BuildToolError):
    """The base image does not exist or cannot be reached."""

    exit_code = 12


class BuildError(BuildToolError):
    """A step of the image's build failed."""

    exit_code = 13


class VerificationError(BuildToolError):
    """A built image is not what its labels say, or holds a secret."""

    exit_code = 14


class PushError(BuildToolError):
    """A verified image could not be pushed."""

    exit_code = 15


class DiskFullError(BuildToolError):
    """The engine, or this machine, has no space left."""

    exit_code = 16


class ImageNotFoundError(BuildToolError):
    """The image to verify is neither on the engine nor in a registry it can reach."""

    exit_code = 17


class ImageMismatchError(BuildToolError):
    """The checked image is for another Airflow, Python, CPU or contract."""

    exit_code = EXIT_CODES[Fit.INCOMPATIBLE]


class ImageUnknownError(BuildToolError):
    """The checked image could not be looked at, or does not say what it is."""

    exit_code = EXIT_CODES[Fit.UNKNOWN]


class AwsError(BuildToolError):
    """A call to AWS failed."""

    exit_code = 20
