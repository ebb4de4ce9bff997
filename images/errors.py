"""Every way the build tool can fail, each with its exit code.

Messages say what is wrong and what to do; `build.py` prints them without a traceback.
"""

from __future__ import annotations

from airflow_ecs_executor.image_check.comparison import EXIT_CODES, Fit


class BuildToolError(Exception):
    """Base of all failures that the build tool reports.

    ``exit_code`` is the process's, ``summary`` says in the help what it stands for, and ``hint`` is what to do.
    """

    exit_code = 1
    summary = ""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class RequestError(BuildToolError):
    """The flags ask for something impossible, such as an unknown pattern, or contradict each other."""

    exit_code = 2
    summary = "impossible request"


class MatrixError(BuildToolError):
    """matrix.yaml is missing or malformed."""

    exit_code = 3
    summary = "matrix.yaml"


class InputError(BuildToolError):
    """A file or folder that the flags name is missing, unreadable or empty."""

    exit_code = 4
    summary = "input file or folder"


class SecretError(BuildToolError):
    """A value that looks like a secret would be readable in an image, a task definition or S3."""

    exit_code = 5
    summary = "a secret would be readable"


class RequirementsError(BuildToolError):
    """A requirement would change Airflow's version, or is of a kind that cannot be installed in the image."""

    exit_code = 7
    summary = "requirements"


class EngineError(BuildToolError):
    """No Docker client, or the engine does not answer."""

    exit_code = 10
    summary = "no Docker engine"


class BuildxError(BuildToolError):
    """The Docker client has no Buildx."""

    exit_code = 11
    summary = "no Buildx"


class BaseImageError(BuildToolError):
    """The base image does not exist or cannot be reached."""

    exit_code = 12
    summary = "base image"


class BuildError(BuildToolError):
    """A step of the image's build failed."""

    exit_code = 13
    summary = "build step"


class VerificationError(BuildToolError):
    """A built image differs from its labels, or has a secret in it."""

    exit_code = 14
    summary = "verification"


class PushError(BuildToolError):
    """A verified image could not be pushed."""

    exit_code = 15
    summary = "push"


class DiskFullError(BuildToolError):
    """The engine, or this machine, has no space left."""

    exit_code = 16
    summary = "disk full"


class ImageNotFoundError(BuildToolError):
    """The image to verify is neither on the engine nor in a registry it can reach."""

    exit_code = 17
    summary = "no such image"


class ImageMismatchError(BuildToolError):
    """The checked image is for another Airflow, Python, CPU or contract."""

    exit_code = EXIT_CODES[Fit.INCOMPATIBLE]
    summary = "the checked image is incompatible"


class ImageUnknownError(BuildToolError):
    """The checked image could not be looked up, or does not say which versions it has."""

    exit_code = EXIT_CODES[Fit.UNKNOWN]
    summary = "whether the checked image is compatible is not known"


class AwsError(BuildToolError):
    """A call to AWS failed."""

    exit_code = 20
    summary = "AWS"


class DefectError(BuildToolError):
    """The build tool has a defect: an exception that nothing expects."""

    exit_code = 21
    summary = "a defect of the build tool"


MISSING_PACKAGE_EXIT_CODE, INTERRUPTED_EXIT_CODE = 6, 130


def exit_codes() -> dict[int, str]:
    """Return what each exit code of the build tool stands for."""
    found = {kind.exit_code: kind.summary for kind in BuildToolError.__subclasses__()}
    found |= {MISSING_PACKAGE_EXIT_CODE: "missing Python packages", INTERRUPTED_EXIT_CODE: "interrupted"}
    return dict(sorted(found.items()))
