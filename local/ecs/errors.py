"""What the API answers when it refuses."""

from __future__ import annotations

from typing import Any


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
        """The body of the answer."""
        return {"__type": self.code, "message": self.message, **self.members}


def invalid_parameter(message: str) -> ApiError:
    """What most wrong requests get."""
    return ApiError("InvalidParameterException", message)


def client_error(message: str) -> ApiError:
    """What requests get that name a resource in a wrong way or state."""
    return ApiError("ClientException", message)


class CannotStartError(Exception):
    """A task that will never run: what ECS gives as its reason, and as that of a container."""

    def __init__(self, reason: str, container_reason: str | None = None) -> None:
        """Keep both."""
        super().__init__(reason)
        self.reason = reason
        self.container_reason = container_reason
