"""Condense the progress of a build to a few lines. Pure."""

from __future__ import annotations

import re

_VERTEX = re.compile(r"#(\d+) (.*)")
_STEP = re.compile(r"\[(?P<where>[^\]]*)\] (?P<what>(?:FROM|RUN|COPY|ADD|WORKDIR)\b.*)")
_DONE = re.compile(r"DONE (\d+\.\d)s")
_EXPORT = re.compile(r"exporting to (?:docker image format|image|oci image format)|pushing layers|sending tarball")
_OPTIONS = re.compile(r"--(?:mount|chown)=\S+\s*")


class Progress:
    """The progress of a build by Buildx: one line when a step starts and one when it ends."""

    def __init__(self) -> None:
        self._steps: dict[str, str] = {}

    def feed(self, line: str) -> list[str]:
        """Return the lines to show for one line of Buildx's plain progress; often there are none."""
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
