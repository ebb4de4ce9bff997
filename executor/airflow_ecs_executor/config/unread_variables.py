"""Warnings about environment variables that look like the executor's options, but are not read. Pure."""

from __future__ import annotations

import difflib
from typing import Mapping

from airflow_ecs_executor.config import options

_SUFFIXES = ("_CMD", "_SECRET")

_OLD_SECTIONS = ("ECS_EXECUTOR", "ECS_FARGATE")
"""Sections of older guides: the first one of the Amazon provider, and that of the package airflow-aws-executors."""
_OLD_NAMES = {"region": "region_name"}


def unread_variables(environ: Mapping[str, str]) -> list[str]:
    """Return a warning for each variable that looks like an option but is not read, with its correct name."""
    return [warning for name in sorted(environ) for warning in [_unread(name, environ)] if warning]


def _unread(variable: str, environ: Mapping[str, str]) -> str | None:
    for section in _OLD_SECTIONS:
        prefix = options.variable_of(section, "")
        if variable.upper().startswith(prefix):
            name = variable[len(prefix) :].lower()
            known = options.named(options.SHARED_SECTION).get(_OLD_NAMES.get(name, name))
            if known is None:
                return f"{variable} is not read: the section is [{options.SHARED_SECTION}]"
            ignored = ", which is set, too" if known.variable() in environ else ""
            return f"{variable} is not read: the correct name is {known.variable()}{ignored}"
    for section in (options.SHARED_SECTION, options.OWN_SECTION):
        prefix = options.variable_of(section, "")
        if variable.upper().startswith(prefix):
            return _unread_in_section(variable, section, variable[len(prefix) :])
    return None


def _unread_in_section(variable: str, section: str, name: str) -> str | None:
    known = options.named(section)
    plain = known.get(name.lower())
    if plain is not None:
        exact = plain.variable()
        return None if variable == exact else f"{variable} is not read: the correct name is {exact}"
    for suffix in _SUFFIXES:
        stem = known.get(name[: -len(suffix)].lower()) if name.upper().endswith(suffix) else None
        if stem is not None:
            if stem.sensitive:
                return None
            return f"{variable} is not read: Airflow takes {suffix} for sensitive options alone; set {stem.variable()}"
    elsewhere = next((option for option in options.OPTIONS if option.name == name.lower()), None)
    if elsewhere is not None:
        return f"{variable} is not read: {elsewhere.name} is in another section, as {elsewhere.variable()}"
    nearest = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    if nearest:
        return f"{variable} is not read: there is no such option; did you mean {known[nearest[0]].variable()}?"
    return f"{variable} is not read: [{section}] has no such option"
