"""From the text of an option to its value. Pure."""

from __future__ import annotations

import math
import re
from typing import Any

from airflow_ecs_executor.config import options
from airflow_ecs_executor.config.options import Option

_TRUE = ("t", "true", "1")
_FALSE = ("f", "false", "0")


def is_true(text: str) -> bool:
    """Return whether Airflow reads a text as true (AirflowConfigParser.getboolean)."""
    return text.split("#")[0].strip().lower() in _TRUE


def parse_option(option: Option, text: str) -> Any:
    """Return ``text`` as a value of ``option``. The ValueError of any other text says what is allowed."""
    if option.type == options.BOOLEAN:
        if not is_true(text) and text.split("#")[0].strip().lower() not in _FALSE:
            raise ValueError("give True or False")
        return is_true(text)
    if option.type in (options.INTEGER, options.FLOAT):
        return _number(option, text)
    if option.choices and text not in option.choices:
        raise ValueError(f"give one of {', '.join(option.choices)}")
    if option.pattern and not re.fullmatch(option.pattern, text):
        raise ValueError(f"give {option.allowed}")
    return text


def _number(option: Option, text: str) -> float:
    whole = option.type == options.INTEGER
    bounds = []
    if option.minimum is not None:
        bounds.append(f"{'above' if option.above_minimum else 'from'} {option.minimum:g}")
    if option.maximum is not None:
        bounds.append(f"to {option.maximum:g}")
    allowed = " ".join([f"give a {'whole ' if whole else ''}number", *bounds])
    # int() and float() would also accept "1_6", "nan" and the digits of other scripts.
    if not re.fullmatch(r"[+-]?[0-9]+" if whole else r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text):
        raise ValueError(allowed)
    number = int(text) if whole else float(text)
    too_low = option.minimum is not None and (
        number <= option.minimum if option.above_minimum else number < option.minimum
    )
    too_high = option.maximum is not None and number > option.maximum
    if too_low or too_high or not math.isfinite(number):
        raise ValueError(allowed)
    return number
