"""Every way the build tool can fail, each with its exit code.

Messages say what is wrong and what to do; `build.py` prints them without a traceback.
"""

from __future__ import annotations

from airflow_ecs_executor.image_check.comparison import EXIT_CODES, Fit


class BuildToolError(Exception):
    """Base of all failures that the build tool reports; ``hint`` is what to do."""

    exit_code = 1
    summary = ""
    """What the exit code stands for, in the help."""

    def __init_subclass__(cls, exit_code: int, summary: str) -> None:
        cls.exit_code, cls.summary = exit_code, summary

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class RequestError(BuildToolError, exit_code=2, summary="impossible request"):
    """The flags ask for something impossible, such as an unknown pattern, or contradict each other."""


class MatrixError(BuildToolError, exit_code=3, summary="matrix.yaml"):
    """matrix.yaml is missing or malformed."""


class InputError(BuildToolError, exit_code=4, summary="input file or folder"):
    """A file or folder that the flags name is missing, unreadable or empty."""


class SecretError(BuildToolError, exit_code=5, summary="a secret would be readable"):
    """A value that looks like a secret would be readable in an image, a task definition or S3."""


class RequirementsError(BuildToolError, exit_code=7, summary="requirements"):
    """A requirement would change Airflow's version, or is of a kind that cannot be installed in the image."""


class EngineError(BuildToolError, exit_code=10, summary="no Docker engine"):
    """No Docker client, or the engine does not answer."""


class BuildxError(BuildToolError, exit_code=11, summary="no Buildx"):
    """The Docker client has no Buildx."""


class BaseImageError(BuildToolError, exit_code=12, summary="base image"):
    """The base image does not exist or cannot be reached."""


class BuildError(BuildToolError, exit_code=13, summary="build step"):
    """A step of the image's build failed."""


class VerificationError(BuildToolError, exit_code=14, summary="verification"):
    """A built image differs from its labels, or has a secret in it."""


class PushError(BuildToolError, exit_code=15, summary="push"):
    """A verified image could not be pushed."""


class DiskFullError(BuildToolError, exit_code=16, summary="disk full"):
    """The engine, or this machine, has no space left."""


class ImageNotFoundError(BuildToolError, exit_code=17, summary="no such image"):
    """The image to verify is neither on the engine nor in a registry it can reach."""


class ImageMismatchError(
    BuildToolError, exit_code=EXIT_CODES[Fit.INCOMPATIBLE], summary="the checked image is incompatible"
):
    """The checked image is for another Airflow, Python, CPU or contract."""


class ImageUnknownError(
    BuildToolError, exit_code=EXIT_CODES[Fit.UNKNOWN], summary="whether the checked image is compatible is not known"
):
    """The checked image could not be looked up, or does not say which versions it has."""


class AwsError(BuildToolError, exit_code=20, summary="AWS"):
    """A call to AWS failed."""


class DefectError(BuildToolError, exit_code=21, summary="a defect of the build tool"):
    """The build tool has a defect: an exception that nothing expects."""


MISSING_PACKAGE_EXIT_CODE, INTERRUPTED_EXIT_CODE = 6, 130


def exit_codes() -> dict[int, str]:
    """Return what each exit code of the build tool stands for."""
    found = {kind.exit_code: kind.summary for kind in BuildToolError.__subclasses__()}
    found |= {MISSING_PACKAGE_EXIT_CODE: "missing Python packages", INTERRUPTED_EXIT_CODE: "interrupted"}
    return dict(sorted(found.items()))
