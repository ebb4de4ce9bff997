"""How right the product's answers are: what each message means to it, and what it advises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.phrasebook.entry import Entry
from tests.phrasebook.product import Answer, ask


@dataclass(frozen=True)
class Result:
    """What the product made of a message."""

    entry: Entry
    answer: Answer

    @property
    def right(self) -> bool:
        """Whether the message means to the product what it means."""
        entry, meaning = self.entry, self.answer.meaning
        expected = set(entry.extra.get("classes") or entry.expect.split("|"))
        if entry.kind == "registry_http" and entry.op == "push":
            expected = {"PushError"}
        elif entry.kind == "registry_http" and entry.expect == "credentials":
            expected = {"access"}
        if meaning in expected:
            return True
        # A host that was taken away may also be told by the advice, or the task be launched again for another reason.
        retried = meaning in ("spot", "never_started") or (meaning == "failed" and self._has(entry.hint_must))
        return "infrastructure" in expected and retried

    @property
    def lacks_advice(self) -> bool:
        """Whether useful advice is missing."""
        return bool(self.entry.hint_must) and not self._has(self.entry.hint_must)

    @property
    def lacks_needed_advice(self) -> bool:
        """Whether advice is missing that people need."""
        return self.lacks_advice and self.entry.hint_weight == "needed"

    @property
    def misleads(self) -> bool:
        """Whether the advice is wrong."""
        return self._has(self.entry.hint_not)

    @property
    def passed(self) -> bool:
        """Whether everything that is scored is right."""
        return self.right and not self.misleads and not self.lacks_needed_advice

    def _has(self, words: str | None) -> bool:
        advice = self.answer.advice.lower()
        return any(word.lower() in advice for word in (words or "").split("|") if word)

    @property
    def complaints(self) -> list[str]:
        """What is wrong, one sentence each."""
        entry, found = self.entry, []
        if not self.right:
            found.append(f"it means {entry.expect}, and was taken for {self.answer.meaning}")
        if self.lacks_advice:
            found.append(f"the advice has none of {entry.hint_must!r} ({entry.hint_weight})")
        if self.misleads:
            found.append(f"the advice has one of {entry.hint_not!r}")
        return found


@dataclass(frozen=True)
class Score:
    """Counts of results."""

    entries: int
    passed: int
    meaning: int
    advice_needed: int
    advice_given: int
    misleading: int

    def __str__(self) -> str:
        def share(part: int, whole: int) -> str:
            return f"{part:4}/{whole:<4} {100 * part / whole if whole else 100:3.0f} %"

        return (
            f"{share(self.passed, self.entries)} passed | meaning {share(self.meaning, self.entries)} | "
            f"needed advice {share(self.advice_given, self.advice_needed)} | wrong advice {self.misleading}"
        )


def judge(entry: Entry) -> Result:
    """Ask the product what a message means."""
    return Result(entry, ask(entry))


def score(results: Sequence[Result]) -> Score:
    """Count results."""
    needed = [item for item in results if item.entry.hint_must and item.entry.hint_weight == "needed"]
    return Score(
        entries=len(results),
        passed=sum(item.passed for item in results),
        meaning=sum(item.right for item in results),
        advice_needed=len(needed),
        advice_given=sum(not item.lacks_advice for item in needed),
        misleading=sum(item.misleads for item in results),
    )
