"""Sizes of tasks that AWS Fargate offers, and the nearest one to a size that it does not. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from images.errors import RequestError

# RegisterTaskDefinition, `cpu` and `memory`: docs.aws.amazon.com/AmazonECS/latest/APIReference, and
# docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html
_GIB = 1024
SIZES: Mapping[int, Sequence[int]] = {
    256: (512, 1 * _GIB, 2 * _GIB),
    512: range(1 * _GIB, 4 * _GIB + 1, _GIB),
    1024: range(2 * _GIB, 8 * _GIB + 1, _GIB),
    2048: range(4 * _GIB, 16 * _GIB + 1, _GIB),
    4096: range(8 * _GIB, 30 * _GIB + 1, _GIB),
    8192: range(16 * _GIB, 60 * _GIB + 1, 4 * _GIB),
    16384: range(32 * _GIB, 120 * _GIB + 1, 8 * _GIB),
}
"""MiB of memory that a task may have, by its CPU units (1024 per vCPU)."""
STORAGE = range(21, 201)
"""GiB of ephemeral storage, instead of the 20 that every task has (EphemeralStorage, sizeInGiB)."""
STOP_TIMEOUT = range(2, 121)
"""Seconds (ContainerDefinition, stopTimeout; docs.aws.amazon.com/AmazonECS/latest/developerguide, task definition
parameters for Fargate)."""


def check_size(cpu: int, memory: int) -> None:
    """Raise RequestError, with the nearest sizes, for a size that Fargate does not offer."""
    if cpu not in SIZES:
        nearest = _nearest(list(SIZES), cpu)
        raise RequestError(
            f"Fargate does not offer --cpu {cpu}.",
            f"The nearest is --cpu {nearest} ({nearest / 1024:g} vCPU); all: {', '.join(map(str, SIZES))}.",
        )
    allowed = SIZES[cpu]
    if memory in allowed:
        return
    hint = f"The nearest for --cpu {cpu} is --memory {_nearest(allowed, memory)}"
    others = [units for units, sizes in SIZES.items() if memory in sizes]
    if others:
        hint += f"; --memory {memory} requires --cpu {', '.join(map(str, others))}"
    raise RequestError(
        f"Fargate does not offer --memory {memory} with --cpu {cpu}, but {_words(allowed)} MiB.", f"{hint}."
    )


def check_storage(gib: int | None) -> None:
    """Raise RequestError for a size of ephemeral storage that Fargate does not offer."""
    if gib is not None and gib not in STORAGE:
        raise RequestError(
            f"--ephemeral-storage {gib}: Fargate offers {STORAGE[0]} to {STORAGE[-1]} GiB.",
            f"The nearest is {_nearest(STORAGE, gib)}; without the flag a task has 20.",
        )


def check_stop_timeout(seconds: int) -> None:
    """Raise RequestError for a stop timeout that Fargate does not allow."""
    if seconds not in STOP_TIMEOUT:
        raise RequestError(
            f"--stop-timeout {seconds}: Fargate allows {STOP_TIMEOUT[0]} to {STOP_TIMEOUT[-1]} seconds.",
            f"The nearest is {_nearest(STOP_TIMEOUT, seconds)}.",
        )


def _nearest(allowed: Sequence[int], wish: int) -> int:
    return min(allowed, key=lambda value: (abs(value - wish), value))


def _words(allowed: Sequence[int]) -> str:
    if isinstance(allowed, range):
        return f"{allowed[0]} to {allowed[-1]} in steps of {allowed.step}"
    return ", ".join(map(str, allowed))
