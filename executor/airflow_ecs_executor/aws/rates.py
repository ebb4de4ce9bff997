"""Rate limits for an API whose quota is shared with other callers.

AWS throttles each ECS action per account and region with a token bucket (Amazon ECS API Reference, "Request
throttling"). The limiter models that bucket, and reduces its rate when AWS throttles a call all the same.
"""

from __future__ import annotations


class RateLimiter:
    """A token bucket whose rate decreases when calls are throttled, and recovers when they are not.

    The caller passes the time, in seconds of a monotonic clock. Not thread-safe: the caller holds a lock.
    """

    _WINDOW = 1.0
    _TOLERATED = 0.1
    """The share of throttled calls in a window up to which the rate is kept."""
    _DECREASE = 0.7
    _RECOVERY = 0.05
    """The share of the configured rate that is restored after the first window without throttling; it doubles after
    each further one."""
    _FLOOR = 0.02

    def __init__(self, rate: float, burst: float) -> None:
        """Permit ``rate`` calls per second, and ``burst`` calls at once."""
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
        """Return the seconds until a call is permitted; 0 if it is permitted now."""
        self._refill(now)
        return 0.0 if self._tokens >= 1.0 else (1.0 - self._tokens) / self.rate

    def take(self, now: float) -> None:
        """Account for a call that is made now."""
        self._refill(now)
        self._tokens -= 1.0
        self._calls += 1

    def throttled(self, now: float) -> None:
        """Record that AWS throttled a call: its bucket is empty, so this one is emptied too."""
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
