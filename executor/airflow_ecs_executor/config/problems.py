"""What can be wrong with the configuration. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

from airflow_ecs_executor.aws.run_task import shown
from airflow_ecs_executor.config.options import Option


@dataclass(frozen=True)
class Problem:
    """A value with which the executor cannot work.

    Attributes:
        option: The option that has the value.
        variable: What sets the option, such as its environment variable.
        value: What was found; None if nothing was, or if it may hold a secret.
        text: What is wrong.
        remedy: What to do.
    """

    option: Option
    variable: str
    value: str | None
    text: str
    remedy: str

    def __str__(self) -> str:
        found = "" if self.value is None else f" (found: {shown(self.value)})"
        return f"{self.option} {self.text}{found}: {self.remedy} ({self.variable})"


class ConfigurationError(Exception):
    """The configuration is not valid; ``problems`` is everything that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        count = len(self.problems)
        head = f"The ECS executor's configuration has {count} problem{'s' if count > 1 else ''}:"
        return "\n".join([head, *(f"  - {problem}" for problem in self.problems)])
