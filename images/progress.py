"""Condense the progress of builds and pushes to few lines: what a person who waits wants to know. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_VERTEX = re.compile(r"#(\d+) (.*)")
_STEP = re.compile(r"\[(?P<where>[^\]]*)\] (?P<what>(?:FROM|RUN|COPY|ADD|WORKDIR)\b.*)")
_DONE = re.compile(r"DONE (\d+\.\d)s")
_EXPORT = re.compile(r"exporting to (?:docker image format|image|oci image format)|pushing layers|sending tarball")
_PUSH_EVERY = 10.0
"""Seconds between two lines about a push that goes on."""
_MB = 1_000_000
_OPTIONS = re.compile(r"--(?:mount|chown)=\S+\s*")


class Progress:
    """Of a build by Buildx: a line when a step starts and one when it ends.

    Keeps the state of the build; `feed` turns a line of plain progress into the lines to show."""

    def __init__(self) -> None:
        self._steps: dict[str, str] = {}

    def feed(self, line: str) -> list[str]:
        """What to show for one line of Buildx's output: often nothing."""
        match = _VERTEX.match(line)
        if not match:
            return []
        number, text = match.groups()
        step = _STEP.match(text)
        if step:
            title = f"[{step['where']}] {_shorten(step['what'])}"
            if self._steps.get(number) == title:
                return []
            self._steps[number] = title
            return [f"  {title}"] if step["what"].startswith("RUN") else []
        if _EXPORT.match(text) and number not in self._steps:
            self._steps[number] = text
            return [f"  {text}"]
        title = self._steps.get(number, "")
        if not title:
            return []
        if done := _DONE.fullmatch(text):
            return [f"  {title}: {done[1]} s"] if float(done[1]) >= 1 else []
        if text.startswith("ERROR"):
            return [f"  {title}: FAILED"]
        return []


def _shorten(step: str, width: int = 100) -> str:
    plain = " ".join(_OPTIONS.sub("", step).split())
    return plain if len(plain) <= width else plain[: width - 1] + "…"


class PushProgress:
    """Of a push by the engine: how much is to be sent, from time to time how much was, and what the registry has now.

    ``digest`` is the image's in the registry, once it is known; ``error`` is what went wrong.
    """

    def __init__(self) -> None:
        self.digest = ""
        self.error = ""
        self._sizes: dict[str, int] = {}
        self._sent: dict[str, int] = {}
        self._there: set[str] = set()
        self._shown: float | None = None

    def feed(self, event: Mapping[str, Any], now: float) -> list[str]:
        """What to show for one message of the engine's API (ImagePush): mostly nothing.

        :param now: seconds, of any clock.
        """
        if "error" in event or "errorDetail" in event:
            self.error = str((event.get("errorDetail") or {}).get("message") or event.get("error"))
            return []
        aux, layer = event.get("aux") or {}, str(event.get("id") or "")
        self.digest = str(aux.get("Digest") or self.digest)
        status, detail = str(event.get("status") or ""), event.get("progressDetail") or {}
        if status.startswith("Retrying"):
            return [f"  {layer}: {status[0].lower()}{status[1:]}"]
        if status in ("Layer already exists", "Already exists") or status.startswith("Mounted from"):
            self._there.add(layer)
        elif status == "Pushed":
            self._sent[layer] = self._sizes.setdefault(layer, 0)
        elif status == "Pushing" and detail.get("current"):
            self._sent[layer] = int(detail["current"])
            self._sizes[layer] = max(int(detail.get("total") or 0), self._sent[layer])
        if self._shown is None:
            self._shown = now
        if now - self._shown < _PUSH_EVERY:
            return []
        self._shown = now
        return [f"  {self._summary()}"] if self._sizes else []

    def end(self) -> list[str]:
        """What to show when the push has succeeded."""
        return [f"  {self._summary()}"]

    def _summary(self) -> str:
        sent, size = sum(self._sent.values()), sum(self._sizes.values())
        amount = f"{size / _MB:.0f}" if sent == size else f"{sent / _MB:.0f} of {size / _MB:.0f}"
        there = f", {len(self._there)} layers were there" if self._there else ""
        return f"{amount} MB sent{there}"
