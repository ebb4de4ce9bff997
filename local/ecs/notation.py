"""Parsers of sizes in task definitions and of image names in Amazon ECR."""

from __future__ import annotations

import re

CPU_UNITS = 1024
"""Of one vCPU; and as many MiB are a GB."""
_ECR = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/")
_SIZE = re.compile(r"(?P<number>\d+(\.\d+)?|\.\d+)\s*(?P<unit>vcpu|gb)?", re.IGNORECASE)


def units(value: str) -> int | None:
    """Return ``512``, ``.5 vCPU`` or ``2 GB`` as CPU units or MiB; None if it is not a valid size."""
    found = _SIZE.fullmatch(value.strip())
    return int(float(found["number"]) * (CPU_UNITS if found["unit"] else 1)) if found else None


def path_in_ecr(image: str) -> str | None:
    """Return repository and tag (or digest) of an image in any Amazon ECR; None for other registries."""
    found = _ECR.match(image)
    return image[found.end() :] if found else None
