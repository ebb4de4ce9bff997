"""How simulated tasks behave: a default, and rules for tasks whose overrides contain a string."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from local.ecs.ends import ENDS, ESSENTIAL_EXITED, ESSENTIAL_EXITED_REASON, FAILED_TO_START, End
from local.ecs.errors import EmulatorError

SIGTERM_EXIT_CODE = 143
STOP_CODES = (
    ESSENTIAL_EXITED, "InfrastructureHealth", "ServiceSchedulerInitiated", "SpotInterruption", FAILED_TO_START,
    "TerminationNotice", "UserInitiated",
)  # fmt: skip


@dataclass(frozen=True)
class Behaviour:
    """The life of a task. All times are seconds."""

    start_seconds: float = 0.0
    """From the launch to RUNNING, in equal parts PROVISIONING, PENDING (the image is pulled) and ACTIVATING."""
    run_seconds: float | None = 1.0
    """How long the container runs; None: until it is stopped or told to finish."""
    exit_code: int | None = 0
    """Of the container that the request overrides; None: it ends without one, as when its host is lost."""
    stop_code: str | None = ESSENTIAL_EXITED
    stopped_reason: str = ESSENTIAL_EXITED_REASON
    container_reason: str | None = None
    """What ``containers[].reason`` says, such as ``OutOfMemoryError: Container killed due to memory usage``."""
    image_digest: str | None = None
    """Of the image of the container that the request overrides, from its pull on; None: ECS does not say."""
    never_starts: str | None = None
    """The task stops with TaskFailedToStart for this reason, and its containers have no exit code."""
    sidecar_exit_codes: Mapping[str, int] = field(default_factory=dict)
    """Exit codes of the definition's other containers by name; those not named have 0, or none with a lost host."""
    stop_seconds: float | None = 0.0
    """From the request to stop until the containers have ended; None: a stop changes nothing, the task stays RUNNING
    until its program ends by itself."""
    stop_exit_code: int = SIGTERM_EXIT_CODE
    """143 when the program ends on SIGTERM, 137 when it has to be killed."""
    deprovision_seconds: float = 0.0
    """From the containers' end to STOPPED."""

    def changed(self, values: Mapping[str, Any]) -> Behaviour:
        """Return a copy with other values. Raises EmulatorError for an invalid value.

        ``end`` stands for the values of an end by its name; others go before those.
        """
        if "end" in values:
            others = {name: value for name, value in values.items() if name != "end"}
            values = {**named_end(values["end"]).as_behaviour(), **others}
        unknown = sorted(values.keys() - FIELDS)
        if unknown:
            raise EmulatorError(f"A behaviour has no {unknown[0]!r}. It has: {', '.join(sorted(FIELDS))}")
        if values.get("stop_code") not in (None, *STOP_CODES):
            raise EmulatorError(f"There is no stop code {values['stop_code']!r}. There are: {', '.join(STOP_CODES)}")
        return replace(self, **values)


FIELDS = frozenset({"end", *(item.name for item in fields(Behaviour))})


def named_end(name: Any) -> End:
    """Return an end by its name. Raises EmulatorError for one that is not there."""
    found = ENDS.get(name) if isinstance(name, str) else None
    if found is None:
        raise EmulatorError(f"There is no end {name!r}. There are: {', '.join(ENDS)}")
    return found


@dataclass(eq=False)
class _Rule:
    """The tasks that a rule is for, how many more of them (None: all), and how they differ from the default."""

    match: str | None
    left: int | None
    values: Mapping[str, Any]


class Behaviours:
    """The default and the rules."""

    def __init__(self) -> None:
        """Begin without rules."""
        self.default = Behaviour()
        self._rules: list[_Rule] = []

    def add(self, match: str | None, times: int | None, values: Mapping[str, Any]) -> None:
        """Change the default, or append a rule."""
        changed = self.default.changed(values)
        if match is None and times is None:
            self.default = changed
            return
        self._rules.append(_Rule(match, times, dict(values)))

    @property
    def any_rules(self) -> bool:
        """Whether ``choose`` will look at the overrides."""
        return bool(self._rules)

    def choose(self, overrides: str) -> Behaviour:
        """Return the behaviour of a new task with these overrides (JSON)."""
        for rule in self._rules:
            if rule.match is not None and rule.match not in overrides:
                continue
            if rule.left is not None:
                rule.left -= 1
                if rule.left == 0:
                    self._rules.remove(rule)
            return self.default.changed(rule.values)
        return self.default
