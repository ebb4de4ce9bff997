"""Errors of the emulator itself, and error answers of AWS."""

from __future__ import annotations

from typing import Any


class EmulatorError(Exception):
    """A command, setting or option that the emulator refuses. The message lists what is valid."""

    exit_code = 40


class UnavailableError(EmulatorError):
    """The emulator could not be started, or failed."""

    exit_code = 44


class NoAnswerError(UnavailableError):
    """The emulator did not answer: it is not there, or it is overloaded. A later call may succeed."""

    exit_code = 47


class ApiError(Exception):
    """An error answer of AWS: its code, message, HTTP status and any further members of its shape.

    A plain one comes from what is in front of the service: HTML that names neither code nor message.
    """

    def __init__(self, code: str, message: str, status: int = 400, *, plain: bool = False, **members: Any) -> None:
        """Keep what the answer says."""
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.plain = plain
        self.members = members

    def document(self) -> dict[str, Any]:
        """Return the body of the answer."""
        return {"__type": self.code, "message": self.message, **self.members}


def invalid_parameter(message: str) -> ApiError:
    """Return the error for most invalid requests."""
    return ApiError("InvalidParameterException", message)


def client_error(message: str) -> ApiError:
    """Return the error for a resource that is named incorrectly or is in a wrong state."""
    return ApiError("ClientException", message)


class CannotStartError(Exception):
    """A task cannot start: the reasons that ECS gives for the task and for a container."""

    def __init__(self, reason: str, container_reason: str | None = None) -> None:
        """Keep both."""
        super().__init__(reason)
        self.reason = reason
        self.container_reason = container_reason
