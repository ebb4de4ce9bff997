"""Sizes of Fargate's: which pairs there are, and what is said of all others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from images.errors import RequestError
from images.task_definitions.fargate import SIZES, check_size, check_stop_timeout, check_storage


def test_the_pairs_are_aws_s() -> None:
    """docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html: smallest, largest, how many."""
    assert {cpu: (sizes[0], sizes[-1], len(sizes)) for cpu, sizes in SIZES.items()} == {
        256: (512, 2048, 3),
        512: (1024, 4096, 4),
        1024: (2048, 8192, 7),
        2048: (4096, 16384, 13),
        4096: (8192, 30720, 23),
        8192: (16384, 61440, 12),
        16384: (32768, 122880, 12),
    }


@pytest.mark.parametrize(
    ("cpu", "memory", "words"),
    [
        (500, 1024, "The nearest is --cpu 512 (0.5 vCPU)"),
        (100000, 1024, "The nearest is --cpu 16384 (16 vCPU)"),
        (512, 8192, "The nearest for --cpu 512 is --memory 4096; --memory 8192 requires --cpu 1024, 2048, 4096"),
        (512, 1500, "The nearest for --cpu 512 is --memory 1024."),
        (256, 3072, "with --cpu 256, but 512, 1024, 2048 MiB"),
        (8192, 18000, "16384 to 61440 in steps of 4096"),
    ],
)
def test_what_is_no_size_is_told_with_the_nearest(cpu: int, memory: int, words: str) -> None:
    with pytest.raises(RequestError) as caught:
        check_size(cpu, memory)
    assert words in str(caught.value)


@given(st.sampled_from(list(SIZES)), st.integers(-10, 200_000))
def test_the_nearest_is_one_that_is_taken(cpu: int, memory: int) -> None:
    try:
        check_size(cpu, memory)
    except RequestError as error:
        nearest = int(str(error).partition(f"The nearest for --cpu {cpu} is --memory ")[2].split(";")[0].rstrip("."))
        check_size(cpu, nearest)


@pytest.mark.parametrize(("gib", "nearest"), [(20, 21), (201, 200), (-1, 21)])
def test_ephemeral_storage(gib: int, nearest: int) -> None:
    with pytest.raises(RequestError, match=rf"21 to 200 GiB.\n  The nearest is {nearest};"):
        check_storage(gib)
    check_storage(nearest)


@pytest.mark.parametrize(("seconds", "nearest"), [(0, 2), (121, 120)])
def test_the_stop_timeout(seconds: int, nearest: int) -> None:
    with pytest.raises(RequestError, match=f"The nearest is {nearest}"):
        check_stop_timeout(seconds)
    check_stop_timeout(nearest)
