"""The token bucket in front of an API that others use too."""

from __future__ import annotations

from airflow_ecs_executor.aws.rates import RateLimiter


def drain(limiter: RateLimiter, now: float) -> int:
    taken = 0
    while limiter.wait(now) <= 0:
        limiter.take(now)
        taken += 1
    return taken


def test_a_full_bucket_allows_its_burst_at_once() -> None:
    assert drain(RateLimiter(rate=20, burst=100), now=1.0) == 100


def test_an_empty_bucket_refills_at_its_rate() -> None:
    limiter = RateLimiter(rate=20, burst=100)
    drain(limiter, now=1.0)
    assert limiter.wait(1.0) == 1 / 20
    assert sum(drain(limiter, 1.0 + step / 100) for step in range(1, 501)) == 100


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    limiter = RateLimiter(rate=20, burst=100)
    drain(limiter, now=1.0)
    assert drain(limiter, now=1000.0) == 100


def test_a_throttled_call_empties_the_bucket() -> None:
    limiter = RateLimiter(rate=20, burst=100)
    limiter.take(1.0)
    limiter.throttled(1.0)
    assert drain(limiter, 1.0) == 0
    assert limiter.wait(1.0) == 1 / 20


def test_a_single_throttled_call_at_the_edge_leaves_the_rate_alone() -> None:
    limiter = RateLimiter(rate=20, burst=100)
    for step in range(20):
        limiter.take(1.0 + step / 20)
    limiter.throttled(1.9)
    limiter.wait(2.5)
    assert limiter.rate == 20


def test_lasting_throttling_slows_down_and_its_end_recovers() -> None:
    limiter = RateLimiter(rate=20, burst=100)
    now = 1.0
    for _ in range(10):
        for _ in range(5):
            limiter.take(now)
            limiter.throttled(now)
        now += 1.0
        limiter.wait(now)
    slowed = limiter.rate
    assert slowed < 20 * 0.1
    for _ in range(40):
        now += 1.0
        limiter.wait(now)
    assert limiter.rate == 20


def test_the_rate_never_falls_to_nothing() -> None:
    limiter = RateLimiter(rate=20, burst=100)
    for second in range(100):
        limiter.take(1.0 + second)
        limiter.throttled(1.0 + second)
    assert limiter.rate >= 20 * 0.02


def test_two_limiters_that_share_a_bucket_share_its_rate() -> None:
    """AWS's bucket: 20 a second. Two schedulers that each may use all of it settle near half each."""
    shared = RateLimiter(rate=20, burst=100)
    schedulers = [RateLimiter(rate=20, burst=100), RateLimiter(rate=20, burst=100)]
    done = [0, 0]
    now = 1.0
    for tick in range(60 * 100):
        now += 0.01
        for index in (tick % 2, (tick + 1) % 2):
            limiter = schedulers[index]
            if limiter.wait(now) > 0:
                continue
            limiter.take(now)
            if shared.wait(now) > 0:
                limiter.throttled(now)
            else:
                shared.take(now)
                done[index] += 1
    assert sum(done) >= 0.85 * (100 + 60 * 20)
    assert min(done) >= 0.3 * sum(done)
