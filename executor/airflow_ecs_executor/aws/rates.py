"""How fast to call an API that is rationed by a token bucket which others share.

AWS throttles each ECS action per account and region by a token bucket (Amazon ECS API Reference, "Request
throttling"). The limiter keeps a model of that bucket, and gives way when AWS says that the model is wrong, because
another scheduler or another program draws from the same bucket.
"""

from __future__ import annotations


class RateLimiter:
    """A token bucket that slows down when calls are throttled, and recovers when they are not.

    Times are seconds of a monotonic clock, given by the caller. Not thread-safe: the caller holds a lock.
    """

    _WINDOW = 1.0
    _TOLERATED = 0.1
    """The share of throttled calls in a window that only the edge of the bucket explains."""
    _DECREASE = 0.7
    _RECOVERY = 0.05
    """Of the configured rate, given back in the first window without throttling; twice as much in each next one."""
    _FLOOR = 0.02

    def __init__(self, rate: float, burst: float) -> None:
        """Allow ``rate`` calls a second sustained, and ``burst`` at once."""
        self.configured = rate
        self.burst = max(1.0, burst)
        self.rate = rate
        self._tokens = self.burst
        self._updated = 0.0
        self._window_end = 0.0
        self._calls = 0
        self._throttled = 0
        self._recovery = self._RECOVERY

    def wait(self, now: float) -> float:
        """Return the seconds until a call may be made; 0 when it may be made now."""
        self._refill(now)
        return 0.0 if self._tokens >= 1.0 else (1.0 - self._tokens) / self.rate

    def take(self, now: float) -> None:
        """Account for a call that is made now."""
        self._refill(now)
        self._tokens -= 1.0
        self._calls += 1

    def throttled(self, now: float) -> None:
        """AWS rejected a call: its bucket is empty, so ours is."""
        self._refill(now)
        self._throttled += 1
        self._tokens = min(self._tokens, 0.0)

    def _refill(self, now: float) -> None:
        if self._updated == 0.0:
            self._updated, self._window_end = now, now + self._WINDOW
        self._tokens = min(self.burst, self._tokens + max(0.0, now - self._updated) * self.rate)
        self._updated = max(now, self._updated)
        if now < self._window_end:
            return
        if self._throttled > self._TOLERATED * max(1, self._calls):
            self.rate = max(self.rate * self._DECREASE, self.configured * self._FLOOR)
            self._recovery = self._RECOVERY
        elif not self._throttled:
            self.rate = min(self.configured, self.rate + self.configured * self._recovery)
            self._recovery *= 2.0
        self._window_end, self._calls, self._throttled = now + self._WINDOW, 0, 0
