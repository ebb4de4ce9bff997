"""Why pip could not build a package from source: which package, what was missing, and the Debian packages for it. Pure.

`debian_packages.yaml` has the facts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from packaging.utils import canonicalize_name

_DATA = Path(__file__).with_name("debian_packages.yaml")

_FAILED = re.compile(
    r"error: (?:subprocess-exited-with-error|metadata-generation-failed|failed-wheel-build-for-install)"
    r"|Failed building wheel for|ERROR: Failed to build "
)
# How pip names the package: up to 25.2 in the first two ways, later in the third. In earlier stages of a build it is
# the one that was collected last.
_NAMED = re.compile(
    r"Failed building wheel for (?P<wheel>[\w.-]+)"
    r"|ERROR: Failed to build '(?P<package>[\w.-]+)'"
)
_COLLECTED = re.compile(r"Collecting (?P<package>[A-Za-z0-9][\w.-]*)")
_MISSING = re.compile(
    r"fatal error: (?P<header>[\w./-]+\.h(?:pp)?): No such file"
    r"|No such file or directory: '(?P<program>[\w.+-]+)'"
    r"|: (?P<command>[\w.+-]+): (?:command )?not found"
    r"|(?P<executable>pg_config) executable not found"
    r"|command '(?:\S*/)?(?P<failed>[\w.+-]+)' failed: No such file"
    r"|unable to execute '(?P<unable>[\w.+-]+)'"
    r"|cannot find -l(?P<library>[\w.+-]+)"
)
_ERROR = re.compile(r"(?:\w*(?:Error|Exception)|[Ee]rror): ?(?P<text>\S.*)")
_END_OF_OUTPUT = "[end of output]"


@dataclass(frozen=True)
class SourceBuild:
    """A package that could not be built, why, and the Debian packages that are known to help: possibly none."""

    package: str
    cause: str
    debian_packages: tuple[str, ...]


def failed_source_build(text: str) -> SourceBuild | None:
    """Return the source build that pip's output reports as failed, or None if there is none."""
    failed = _FAILED.search(text)
    if failed is None:
        return None
    named = _NAMED.search(text)
    collected = _COLLECTED.findall(text[: failed.start()])
    package = (named["wheel"] or named["package"]) if named else collected[-1] if collected else ""
    output = text[failed.start() :]
    missing = _missing(output.splitlines())
    return SourceBuild(package, _cause(output, missing), _debian_packages(package, missing))


def _missing(lines: Iterable[str]) -> list[str]:
    """Return programs, headers and libraries that were not found, in the order of the output."""
    found = (match for line in lines for match in _MISSING.finditer(line))
    return list(dict.fromkeys(next(group for group in match.groups() if group) for match in found))


def _cause(output: str, missing: list[str]) -> str:
    if missing:
        return f"{', '.join(missing)} not found"
    before_the_end = output.partition(_END_OF_OUTPUT)[0]
    errors = [match["text"] for match in _ERROR.finditer(before_the_end)]
    return errors[-1].strip() if errors else ""


def _debian_packages(package: str, missing: list[str]) -> tuple[str, ...]:
    facts = _facts()
    known = facts["packages"].get(canonicalize_name(package))
    needed = [name for item in missing for name in facts["missing"].get(item, ())]
    if known is None and not any(item in facts["missing"] for item in missing):
        return ()
    return tuple(sorted({*facts["compiler"], *(known or ()), *needed}))


@cache
def _facts() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(_DATA.read_text(encoding="utf-8"))
    return content
