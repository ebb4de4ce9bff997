"""Faults on request: which calls fail, and how. The answers of AWS are in ``answers``."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from local.ecs.answers import ANSWERS, EXAMPLE_GROUP, EXAMPLE_SUBNET, Answer
from local.ecs.errors import ApiError, EmulatorError
from local.ecs.state import Account

ALL_OPERATIONS = "*"
_SERVER_ERROR = 500
_COMMON = frozenset({"times", "probability", "after", "match"})


@dataclass
class Effects:
    """The effects of all faults on one call. Times are seconds."""

    delay: float = 0.0
    """Before anything is done."""
    late: float = 0.0
    """Between what is done and the answer."""
    error: ApiError | None = None
    carried_out: bool = False
    """The operation is carried out before the error is answered or the connection closed."""
    lost: bool = False
    """The connection is closed without an answer."""
    failures: str | None = None
    """RunTask answers with failures of this reason alone."""
    empty: bool = False
    """Neither tasks nor failures are answered."""
    hidden: float = 0.0
    """New tasks stay unknown for so long."""

    @property
    def decided(self) -> bool:
        """Whether the answer is settled already: later faults can only add delays."""
        return self.error is not None or self.lost or self.failures is not None or self.empty


@dataclass(frozen=True)
class Call:
    """A call, as faults see it."""

    operation: str
    params: Mapping[str, Any]
    account: Account

    def resource(self, action: str) -> str:
        """Return the ARN that a refusal of an action names. The request is not checked yet: it may hold anything."""
        cluster = str(self.params.get("cluster") or "default").rpartition("/")[2]
        definition = self.params.get("taskDefinition")
        if action == "ecs:RunTask" and isinstance(definition, str):
            found = self.account.definition(definition)
            return found.arn if found is not None else self.account.arn(f"task-definition/{definition}")
        if action in ("ecs:DescribeTasks", "ecs:StopTask", "ecs:TagResource"):
            return self.account.arn(f"task/{cluster}/*")
        return "*"

    def in_words(self, message: str, action: str) -> str:
        """Return a message with the names of this request, which is not checked yet, in place of an example's."""
        for example, names in ((EXAMPLE_SUBNET, "subnets"), (EXAMPLE_GROUP, "securityGroups")):
            try:
                own = self.params["networkConfiguration"]["awsvpcConfiguration"][names][0]
            except (KeyError, IndexError, TypeError):
                continue
            message = message.replace(example, str(own))
        if "{action}" in message:
            message = message.format(user=self.account.user, action=action, resource=self.resource(action))
        return message


_Details = Mapping[str, Any]
_Apply = Callable[[Effects, _Details, Call], None]


@dataclass(frozen=True)
class Kind:
    """A kind of fault: what it does, the details it takes and needs, and the operations it makes sense for."""

    apply: _Apply
    takes: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()
    operations: frozenset[str] = frozenset()
    decides: bool = True


def _latency(effects: Effects, details: _Details, call: Call) -> None:
    effects.delay += details["seconds"]


def _hang(effects: Effects, details: _Details, call: Call) -> None:
    effects.late += details["seconds"]


def _eventual(effects: Effects, details: _Details, call: Call) -> None:
    effects.hidden = max(effects.hidden, details["seconds"])


def _lost_answer(effects: Effects, details: _Details, call: Call) -> None:
    effects.lost = effects.carried_out = True


def _lost_request(effects: Effects, details: _Details, call: Call) -> None:
    effects.lost = True


def _empty(effects: Effects, details: _Details, call: Call) -> None:
    effects.empty = True


def _error(effects: Effects, details: _Details, call: Call) -> None:
    effects.error = ApiError(details["code"], details.get("message", ""), details.get("status", 400))
    effects.carried_out = details.get("carried_out", False)


def _answering(answer: Answer) -> Kind:
    """Return the kind of fault that is one of AWS's answers."""
    takes = set()
    if "{action}" in answer.message:
        takes.add("action")
    if answer.code is None:
        takes.add("reason")
    if answer.code == "ConflictException":
        takes.add("resource_ids")
    if answer.status >= _SERVER_ERROR:
        takes.add("carried_out")

    def apply(effects: Effects, details: _Details, call: Call) -> None:
        message = call.in_words(answer.message, details.get("action", f"ecs:{call.operation}"))
        if answer.code is None:
            effects.failures = details.get("reason", message)
            return
        members = {"resourceIds": list(details.get("resource_ids", []))} if "resource_ids" in takes else {}
        effects.error = answer.error(message, **members)
        effects.carried_out = details.get("carried_out", False)

    return Kind(apply, frozenset(takes), operations=answer.operations)


_SECONDS = frozenset({"seconds"})
_RUN_TASK = frozenset({"RunTask"})
KINDS: Mapping[str, Kind] = {
    "latency": Kind(_latency, _SECONDS, _SECONDS, decides=False),
    "hang": Kind(_hang, _SECONDS, _SECONDS, decides=False),
    "eventual": Kind(_eventual, _SECONDS, _SECONDS, _RUN_TASK, decides=False),
    "lost_answer": Kind(_lost_answer),
    "lost_request": Kind(_lost_request),
    "empty": Kind(_empty, operations=frozenset({"RunTask", "DescribeTasks", "ListTasks"})),
    "error": Kind(_error, frozenset({"code", "message", "status", "carried_out"}), frozenset({"code"})),
    **{name: _answering(answer) for name, answer in ANSWERS.items()},
}
"""``latency`` waits before the operation is carried out, ``hang`` after it: the caller gives up on something done.
The names of ``ANSWERS`` are AWS's answers."""


@dataclass(eq=False)
class Fault:
    """A fault and how often it has occurred."""

    operation: str
    kind: str
    details: Mapping[str, Any]
    spared: int = field(default=0, init=False)
    hits: int = field(default=0, init=False)

    @property
    def used_up(self) -> bool:
        """Whether it has occurred as often as requested."""
        times = self.details.get("times")
        return times is not None and self.hits >= times


class Faults:
    """All faults in their order. The first one that decides the answer of a call wins."""

    def __init__(self) -> None:
        """Begin without faults."""
        self._faults: list[Fault] = []
        self.chance = random.Random()

    def clear(self) -> None:
        """Remove all faults."""
        self._faults.clear()

    def add(self, operation: str, kind: str, details: Mapping[str, Any], operations: frozenset[str]) -> None:
        """Add a fault. Raises EmulatorError if it is invalid."""
        known = KINDS.get(kind)
        if known is None:
            raise EmulatorError(f"There is no fault {kind!r}. There are: {', '.join(KINDS)}")
        possible = known.operations or operations | {ALL_OPERATIONS}
        if operation not in possible:
            raise EmulatorError(f"The fault {kind} is for: {', '.join(sorted(possible))}; not for {operation!r}")
        unknown = sorted(details.keys() - known.takes - _COMMON)
        if unknown:
            raise EmulatorError(f"The fault {kind} takes {', '.join(sorted(known.takes | _COMMON))}; not {unknown[0]}")
        missing = sorted(name for name in known.needs if details.get(name) is None)
        if missing:
            raise EmulatorError(f"The fault {kind} needs {missing[0]}")
        given = {name: value for name, value in details.items() if value is not None}
        self._faults.append(Fault(operation, kind, given))

    def effects(self, call: Call) -> Effects | None:
        """Return what happens to a call; None is nothing."""
        if not self._faults:
            return None
        effects = Effects()
        text = None
        for fault in [*self._faults]:
            if fault.operation not in (call.operation, ALL_OPERATIONS):
                continue
            kind = KINDS[fault.kind]
            if kind.decides and effects.decided:
                continue
            if "match" in fault.details:
                if text is None:
                    text = json.dumps(call.params, ensure_ascii=False)
                if fault.details["match"] not in text:
                    continue
            if not self._hits(fault, call):
                continue
            details = dict(fault.details)
            if isinstance(details.get("seconds"), list):
                details["seconds"] = self.chance.uniform(*details["seconds"])
            kind.apply(effects, details, call)
            if fault.used_up:
                self._faults.remove(fault)
        return effects

    def _hits(self, fault: Fault, call: Call) -> bool:
        """Return whether a fault whose operation and text match hits this call; it counts."""
        # AWS asks for this permission only where a request brings tags.
        if fault.details.get("action") == "ecs:TagResource" and not call.params.get("tags"):
            return False
        if fault.spared < fault.details.get("after", 0):
            fault.spared += 1
            return False
        probability = fault.details.get("probability")
        if probability is not None and self.chance.random() >= probability:
            return False
        fault.hits += 1
        return True
