"""Checks of requests and answers against botocore's service model of ECS.

The model's shapes are compiled into plain functions once: a request of RunTask is checked in some ten microseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel

from local.ecs.errors import ApiError, invalid_parameter

_Check = Callable[[Any, str], None]
_INTEGER = 2**31
_LONG = 2**63


@cache
def service_model() -> ServiceModel:
    """Botocore's description of the ECS API."""
    return ServiceModel(Loader().load_service_model("ecs", "service-2"), "ecs")


def _ill_typed(path: str, expected: str) -> ApiError:
    """AWS cannot read the request: a string where a structure belongs, and the like."""
    return ApiError("SerializationException", f"{path or 'The request'} must be {expected}")


def _string(enum: tuple[str, ...]) -> _Check:
    allowed = frozenset(enum)

    def check(value: Any, path: str) -> None:
        if type(value) is not str:
            raise _ill_typed(path, "a string")
        if allowed and value not in allowed:
            raise invalid_parameter(
                f"1 validation error detected: Value '{value}' at '{path}' failed to satisfy constraint: "
                f"Member must satisfy enum value set: [{', '.join(enum)}]"
            )

    return check


def _whole_number(limit: int) -> _Check:
    def check(value: Any, path: str) -> None:
        if type(value) is not int or not -limit <= value < limit:
            raise _ill_typed(path, "a whole number")

    return check


def _number(value: Any, path: str) -> None:
    if type(value) is not float and type(value) is not int:
        raise _ill_typed(path, "a number")


def _boolean(value: Any, path: str) -> None:
    if type(value) is not bool:
        raise _ill_typed(path, "true or false")


def _list(member: _Check) -> _Check:
    def check(value: Any, path: str) -> None:
        if type(value) is not list:
            raise _ill_typed(path, "a list")
        for item in value:
            member(item, path)

    return check


def _map(member: _Check) -> _Check:
    def check(value: Any, path: str) -> None:
        if type(value) is not dict:
            raise _ill_typed(path, "a map")
        for item in value.values():
            member(item, path)

    return check


def _structure(members: Mapping[str, _Check], required: tuple[str, ...]) -> _Check:
    def check(value: Any, path: str) -> None:
        if type(value) is not dict:
            raise _ill_typed(path, "a structure")
        absent = False
        for name, item in value.items():
            if item is None:
                absent = True
                continue
            member = members.get(name)
            if member is None:
                raise invalid_parameter(f"Unknown parameter: {path}.{name}" if path else f"Unknown parameter: {name}")
            member(item, f"{path}.{name}" if path else name)
        if absent:  # null is the same as nothing
            for name in [name for name, item in value.items() if item is None]:
                del value[name]
        for name in required:
            if name not in value:
                raise invalid_parameter(f"Missing required parameter: {path}.{name}" if path else f"{name} is missing")

    return check


class _Compiler:
    """Shapes to checks. A shape that contains itself meets its own, unfinished entry."""

    def __init__(self) -> None:
        self._known: dict[str, _Check] = {}

    def compile(self, shape: Any) -> _Check:
        """Return the check of one shape."""
        name: str = shape.name
        if name not in self._known:
            self._known[name] = lambda value, path: self._known[name](value, path)
            self._known[name] = self._make(shape)
        return self._known[name]

    def _make(self, shape: Any) -> _Check:
        kind = shape.type_name
        if kind == "structure":
            members = {name: self.compile(member) for name, member in shape.members.items()}
            return _structure(members, tuple(shape.required_members))
        if kind == "list":
            return _list(self.compile(shape.member))
        if kind == "map":
            return _map(self.compile(shape.value))
        if kind == "string":
            return _string(tuple(shape.enum))
        if kind == "boolean":
            return _boolean
        if kind in ("integer", "long"):
            return _whole_number(_INTEGER if kind == "integer" else _LONG)
        return _number  # float, double, and timestamps: epoch seconds


_compiler = _Compiler()


@cache
def request_check(operation: str) -> _Check:
    """Return the function that checks a request; it raises ApiError and removes members that are null."""
    return _compiler.compile(service_model().operation_model(operation).input_shape)


@cache
def answer_check(operation: str) -> _Check:
    """Return the function that checks an answer: no unknown member, every type right."""
    return _compiler.compile(service_model().operation_model(operation).output_shape)
