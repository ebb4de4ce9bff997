"""Why an image could not be read."""

from __future__ import annotations


class RegistryError(Exception):
    """The image could not be read; the message says why, and what to do.

    ``action`` is the IAM action that would allow it, if that is the reason.
    """

    def __init__(self, message: str, action: str = "") -> None:
        super().__init__(message)
        self.action = action


class NoSuchImageError(RegistryError):
    """The registry has no such image."""


class NoSuchPlatformError(RegistryError):
    """The image exists only for other platforms, whose names are ``platforms``."""

    def __init__(self, platforms: tuple[str, ...], expected: str) -> None:
        super().__init__(f"the image exists for {', '.join(platforms) or 'no platform'}, but not for {expected}")
        self.platforms = platforms
