"""Defects that tests plant."""

from __future__ import annotations

from types import FunctionType
from typing import Any, NoReturn


def defect_of(package: str) -> Any:
    """Return a function that takes any arguments and raises a KeyError, as a line of a package of ours would."""

    def planted(*arguments: object, **named: object) -> NoReturn:
        raise KeyError("planted")

    return FunctionType(planted.__code__, {"__name__": f"{package}.planted", "__builtins__": __builtins__})
