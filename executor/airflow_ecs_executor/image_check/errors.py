"""Why an image could not be looked at."""

from __future__ import annotations


class RegistryError(Exception):
    """The image could not be looked at; the message says why, and what to do.

    ``action`` is the IAM action that would allow it, if that is the reason.
    """

    def __init__(self, message: str, action: str = "") -> None:
        super().__init__(message)
        self.action = action


class NoSuchImageError(RegistryError):
    """The registry answers, and has no such image."""


class NoSuchPlatformError(RegistryError):
    """The image exists for other platforms alone, ``platforms`` by name."""

    def __init__(self, platforms: tuple[str, ...], wanted: str) -> None:
        super().__init__(f"the image exists for {', '.join(platforms) or 'no platform'}, and not for {wanted}")
        self.platforms = platforms
