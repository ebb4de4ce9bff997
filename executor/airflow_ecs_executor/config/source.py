"""Where values are found, and what can be wrong with them. Pure.

A value is that of an option of Airflow's configuration, or of a key of ``run_task_kwargs``, which overrides it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, NamedTuple, Sequence

from airflow_ecs_executor.aws.run_task import canonical, is_list_of_strings, parse_json, shown
from airflow_ecs_executor.config import options
from airflow_ecs_executor.config.options import Option, parse_option


@dataclass(frozen=True)
class Problem:
    """A value with which the executor cannot work: what is wrong, and what to do."""

    option: Option
    variable: str
    """What sets the option, such as its environment variable."""
    value: str | None
    """What was found; None if nothing was, or if it may hold a secret."""
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


class Found(NamedTuple):
    """A value, and where it was found: in an option, or under a key of run_task_kwargs."""

    value: Any
    option: Option
    key: str = ""

    def says(self, text: str) -> str:
        """Return ``text`` about the value, with its key."""
        return f"has {self.key}, which {text}" if self.key else text


class Source:
    """One reading of the configuration: it collects problems and warnings.

    ``kwargs`` is ``run_task_kwargs`` in RunTask's spelling; keys are removed when they are read.
    """

    def __init__(self, conf: Any) -> None:
        """Read ``run_task_kwargs``; ``conf`` has Airflow's ``get(section, key, fallback=…)``."""
        self._conf = conf
        self.team: str | None = getattr(conf, "team_name", None)
        self.problems: list[Problem] = []
        self.warnings: list[str] = []
        self.kwargs = self._run_task_kwargs()

    def problem(self, option: Option, value: Any, text: str, remedy: str) -> None:
        """Add a problem."""
        found = None if value is None else value if isinstance(value, str) else repr(value)
        self.problems.append(Problem(option, option.variable(self.team), found, text, remedy))

    def kwargs_problem(self, value: Any, text: str, remedy: str = "correct or remove it") -> None:
        """Add a problem with a key of run_task_kwargs."""
        self.problem(options.RUN_TASK_KWARGS, value, text, remedy)

    def raw(self, option: Option) -> str | None:
        """Return the text of an option, which may be empty; None if it is not set."""
        try:
            value = self._conf.get(option.section, option.name, fallback=None)
        except Exception as error:  # noqa: BLE001 - a _cmd that fails, an unknown secret: whatever Airflow raises
            self.problem(option, None, f"cannot be read ({error})", "correct it where it is set")
            return None
        return None if value is None else str(value).strip()

    def text(self, option: Option) -> str | None:
        """Return the text of an option, or its default if it is empty or not set."""
        return self.raw(option) or option.default

    def parsed(self, option: Option) -> Any:
        """Return the value of an option; None if it is not set, or not valid, which is a problem."""
        text = self.text(option)
        return None if text is None else self.checked(Found(text, option), option)

    def either(self, key: str, option: Option) -> Found | None:
        """Return what is set for an option, under a key of run_task_kwargs or by itself."""
        if key in self.kwargs:
            return Found(self.kwargs.pop(key), options.RUN_TASK_KWARGS, key)
        text = self.text(option)
        return None if text is None else Found(text, option)

    def checked(self, found: Found | None, option: Option) -> Any:
        """Return the parsed text of what was found for ``option``; None if there is none, or if it is not valid."""
        if found is None:
            return None
        if not isinstance(found.value, str):
            self.problem(found.option, found.value, found.says("is not a string"), "give a JSON string")
            return None
        try:
            return parse_option(option, found.value.strip())
        except ValueError as error:
            self.problem(found.option, found.value, found.says("is not valid"), str(error))
            return None

    def required(self, found: Found | None, option: Option) -> str:
        """Return the parsed text of what was found for a required option, or an empty string and a problem."""
        if found is None:
            self.problem(option, None, "is required, but not set", f"set it, for example to {option.example}")
        return self.checked(found, option) or ""

    def named_once(self, key: str, option: Option) -> str:
        """Return a required name that run_task_kwargs may repeat, but not change."""
        given = self.raw(option)
        if given and key in self.kwargs and self.kwargs[key] != given:
            self.kwargs_problem(
                self.kwargs.pop(key), f"has another {key} than {option}", f"remove it there; only {option} sets it"
            )
        return self.required(self.either(key, option), option)

    def strings(self, key: str, option: Option) -> list[str]:
        """Return a list of strings, or a string of items that are separated by commas."""
        found = self.either(key, option)
        if found is None:
            return []
        value = found.value.split(",") if isinstance(found.value, str) else found.value
        if not is_list_of_strings(value):
            self.problem(found.option, value, found.says("is not a list of strings"), f"give it as {option.example}")
            return []
        return [item.strip() for item in value if item.strip()]

    def _run_task_kwargs(self) -> dict[str, Any]:
        text = self.text(options.RUN_TASK_KWARGS)
        if text is None:
            return {}
        remedy = f"give a JSON object, such as {options.RUN_TASK_KWARGS.example}"
        try:
            value = parse_json(text)
        except ValueError as error:
            # The text may contain a secret in its environment: the position of the error is enough.
            self.kwargs_problem(None, str(error), remedy)
            return {}
        if not isinstance(value, dict):
            self.kwargs_problem(text, "is not a JSON object", remedy)
            return {}
        try:
            kwargs: Mapping[str, Any] = canonical(value, camelize=True)
        except ValueError as error:
            self.kwargs_problem(None, f"is not valid ({error})", "correct or remove that key")
            return {}
        return dict(kwargs)
