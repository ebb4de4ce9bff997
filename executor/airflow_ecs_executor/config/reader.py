"""The executor's settings: Airflow's configuration in, one frozen object out. Pure.

From low to high: the options' defaults; airflow.cfg and the environment, in Airflow's own order; ``run_task_kwargs``.
A task's ``executor_config``, higher still, is the matter of `airflow_ecs_executor.launching.request`.
"""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Mapping, NamedTuple, Sequence

from airflow_ecs_executor.aws.run_task import (
    MAX_SECURITY_GROUPS,
    MAX_SUBNETS,
    PARAMETERS,
    canonical,
    check_environment,
    check_started_by,
    drop_fargate_only,
    is_fargate,
    parse_json,
    parse_strategy,
)
from airflow_ecs_executor.config import options
from airflow_ecs_executor.config.options import Option
from airflow_ecs_executor.config.settings import Settings, network_warnings
from airflow_ecs_executor.config.unread_variables import unread_variables

DEFAULT_CONNECTION = "aws_default"

_TRUE = ("t", "true", "1")
_FALSE = ("f", "false", "0")


@dataclass(frozen=True)
class Problem:
    """Something in the configuration with which the executor cannot work.

    ``value`` is what was found, as text, or None if there was nothing; ``remedy`` is what to do.
    """

    option: Option
    variable: str
    value: str | None
    text: str
    remedy: str

    def __str__(self) -> str:
        found = "" if self.value is None else f" (found: {_shortened(self.value)})"
        return f"{self.option} {self.text}{found}: {self.remedy} ({self.variable})"


class ConfigurationError(Exception):
    """The configuration cannot be used; ``problems`` is all that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        count = len(self.problems)
        head = f"The ECS executor's configuration has {count} problem{'s' if count > 1 else ''}:"
        return "\n".join([head, *(f"  - {problem}" for problem in self.problems)])


def read_settings(conf: Any, environ: Mapping[str, str]) -> Settings:
    """Read and check all options.

    ``conf`` has Airflow's ``get(section, key, fallback=…)``: the parser itself, or one team's view of it. ``environ``
    is looked through for variables that Airflow does not read.

    Raises `ConfigurationError` with every problem that was found.
    """
    return _Reading(conf, environ).settings()


class _Found(NamedTuple):
    """A value, and where it was found: an option, or a key of run_task_kwargs."""

    value: Any
    option: Option
    key: str = ""

    def says(self, text: str) -> str:
        return f"has {self.key}, which {text}" if self.key else text


class _Reading:
    """One reading of the configuration: collects problems and warnings on the way."""

    def __init__(self, conf: Any, environ: Mapping[str, str]) -> None:
        self._conf = conf
        self._environ = environ
        self._team: str | None = getattr(conf, "team_name", None)
        self._problems: list[Problem] = []
        self._warnings: list[str] = []

    def settings(self) -> Settings:
        kwargs = self._run_task_kwargs()
        cluster = self._cluster(kwargs)
        container_name = self._container_name(kwargs)
        request = self._request(kwargs, cluster, container_name)
        fargate = is_fargate(request, True)
        neither = "launchType" not in request and "capacityProviderStrategy" not in request
        fargate_only = {} if fargate else self._spared(request)
        if fargate and not neither:
            self._warnings += network_warnings(request)
        conn_id, conn_id_named = self._connection()
        values = {option.name: self._parsed(option) for option in options.OWN_OPTIONS}
        self._check_workloads(values)
        region_name = self._parsed(options.REGION_NAME)
        check_health = self._parsed(options.CHECK_HEALTH_ON_STARTUP)
        attempts = self._parsed(options.MAX_RUN_TASK_ATTEMPTS)
        self._warnings += unread_variables(self._environ)
        if self._problems:
            raise ConfigurationError(self._problems)
        return Settings(
            cluster=cluster,
            container_name=container_name,
            region_name=region_name,
            conn_id=conn_id,
            conn_id_named=conn_id_named,
            check_health_on_startup=check_health,
            max_run_task_attempts=attempts,
            run_task=MappingProxyType(request),
            use_cluster_default=neither,
            fargate=fargate,
            fargate_only=MappingProxyType(fargate_only),
            warnings=tuple(self._warnings),
            **values,
        )

    # Options as text and as what they are.

    def _problem(self, option: Option, value: Any, text: str, remedy: str) -> None:
        shown = None if value is None else value if isinstance(value, str) else repr(value)
        self._problems.append(Problem(option, option.variable(self._team), shown, text, remedy))

    def _raw(self, option: Option) -> str | None:
        """The option's text, which may be empty, or None if it is not set."""
        try:
            value = self._conf.get(option.section, option.name, fallback=None)
        except Exception as error:
            # A _cmd that fails, an unknown secret, a broken interpolation: whatever Airflow says.
            self._problem(option, None, f"cannot be read ({error})", "correct it where it is set")
            return None
        return None if value is None else str(value).strip()

    def _text(self, option: Option) -> str | None:
        """The option's text; empty counts as not set, and then its default holds."""
        return self._raw(option) or option.default

    def _parsed(self, option: Option) -> Any:
        """The option's value by its type; None if it is not set, or in a way that is a problem."""
        text = self._text(option)
        return None if text is None else self._checked(_Found(text, option), str(text))

    def _checked(self, found: _Found, text: str) -> Any:
        option = found.option
        try:
            return parse_option(option, text)
        except ValueError as error:
            self._problem(option, text, found.says("is wrong"), str(error))
            return None

    # What may stand in an option or in run_task_kwargs.

    def _run_task_kwargs(self) -> dict[str, Any]:
        option = options.RUN_TASK_KWARGS
        text = self._text(option)
        if text is None:
            return {}
        remedy = f"give a JSON object, such as {option.example}"
        try:
            value = parse_json(text)
        except ValueError as error:
            # The text may hold a secret in its environment: the fault's place says enough.
            self._problem(option, None, str(error), remedy)
            return {}
        if not isinstance(value, dict):
            self._problem(option, text, "is not a JSON object", remedy)
            return {}
        try:
            kwargs: dict[str, Any] = canonical(value, camelize=True)
        except ValueError as error:
            self._problem(option, None, f"cannot be used ({error})", "correct or remove that key")
            return {}
        if "clientToken" in kwargs:
            self._problem(option, None, "has clientToken", "remove it: every launch needs a token of its own")
        if kwargs.pop("count", 1) != 1:
            self._problem(option, None, "has a count other than 1", "remove it: a task instance runs in one container")
        return kwargs

    def _either(self, kwargs: dict[str, Any], key: str, option: Option) -> _Found | None:
        """What is set for an option, in run_task_kwargs (taken out of it) or by itself."""
        if key in kwargs:
            return _Found(kwargs.pop(key), options.RUN_TASK_KWARGS, key)
        text = self._text(option)
        return None if text is None else _Found(text, option)

    def _string(self, found: _Found | None, option: Option) -> str | None:
        """Check a value, from wherever, as a text of ``option``."""
        if found is None:
            return None
        if not isinstance(found.value, str):
            self._problem(found.option, found.value, found.says("is not a text"), "give a JSON string")
            return None
        try:
            parsed: str = parse_option(option, found.value.strip())
        except ValueError as error:
            self._problem(found.option, found.value, found.says("is wrong"), str(error))
            return None
        return parsed

    def _required(self, kwargs: dict[str, Any], key: str, option: Option) -> str:
        found = self._either(kwargs, key, option)
        if found is None:
            self._problem(option, None, "is not set, but required", f"set it, for instance to {option.example}")
        return self._string(found, option) or ""

    def _same_as_option(self, kwargs: dict[str, Any], key: str, option: Option) -> str:
        """A required name that run_task_kwargs may repeat, but not change."""
        given = self._raw(option)
        if given and key in kwargs and kwargs[key] != given:
            self._problem(
                options.RUN_TASK_KWARGS,
                kwargs.pop(key),
                f"has another {key} than {option}",
                f"remove it there; {option} alone names it",
            )
        return self._required(kwargs, key, option)

    def _cluster(self, kwargs: dict[str, Any]) -> str:
        return self._same_as_option(kwargs, "cluster", options.CLUSTER)

    def _container_name(self, kwargs: dict[str, Any]) -> str:
        return self._same_as_option(kwargs, "containerName", options.CONTAINER_NAME)

    # The request.

    def _request(self, kwargs: dict[str, Any], cluster: str, container_name: str) -> dict[str, Any]:
        request: dict[str, Any] = {"cluster": cluster, "count": 1}
        request["taskDefinition"] = self._task_definition(kwargs)
        self._capacity(kwargs, request)
        version = self._string(
            self._either(kwargs, "platformVersion", options.PLATFORM_VERSION), options.PLATFORM_VERSION
        )
        if version:
            request["platformVersion"] = version.upper()
        network = self._network_configuration(kwargs)
        if network:
            request["networkConfiguration"] = network
        request["overrides"] = self._overrides(kwargs.pop("overrides", {}), container_name)
        if "startedBy" in kwargs:
            try:
                check_started_by(kwargs["startedBy"])
            except ValueError as error:
                self._problem(options.RUN_TASK_KWARGS, kwargs["startedBy"], str(error), "change or remove it")
        for key in sorted(set(kwargs) - PARAMETERS):
            self._warnings.append(
                f"{options.RUN_TASK_KWARGS} has {key}, which is no parameter of RunTask that this version knows"
                f"{_nearest(key, PARAMETERS)}; it is sent as it is"
            )
        request.update(kwargs)
        return request

    def _task_definition(self, kwargs: dict[str, Any]) -> str:
        found = self._either(kwargs, "taskDefinition", options.TASK_DEFINITION)
        if found is not None and isinstance(found.value, str):
            family, separator, revision = found.value.strip().rpartition(":")
            if separator and revision.upper() == "LATEST":
                self._warnings.append(
                    f"{found.option} names the task definition {found.value.strip()}: ECS knows no revision LATEST; "
                    f"{family} is used, which means the latest active revision"
                )
                found = found._replace(value=family)
        if found is None:
            option = options.TASK_DEFINITION
            self._problem(option, None, "is not set, but required", f"set it, for instance to {option.example}")
        return self._string(found, options.TASK_DEFINITION) or ""

    def _capacity(self, kwargs: dict[str, Any], request: dict[str, Any]) -> None:
        launch_type = self._either(kwargs, "launchType", options.LAUNCH_TYPE)
        strategy = self._either(kwargs, "capacityProviderStrategy", options.CAPACITY_PROVIDER_STRATEGY)
        if launch_type is not None and strategy is not None:
            both = " and ".join(
                f"{found.key} of {found.option}" if found.key else str(found.option)
                for found in (launch_type, strategy)
            )
            self._problem(
                strategy.option,
                strategy.value,
                f"excludes a launch type, but both are set ({both})",
                "remove one of them",
            )
        if launch_type is not None:
            value = launch_type.value
            normal = launch_type._replace(value=value.strip().upper() if isinstance(value, str) else value)
            checked = self._string(normal, options.LAUNCH_TYPE)
            if checked:
                request["launchType"] = checked
        if strategy is not None:
            try:
                request["capacityProviderStrategy"] = parse_strategy(strategy.value)
            except ValueError as error:
                example = options.CAPACITY_PROVIDER_STRATEGY.example
                self._problem(strategy.option, strategy.value, strategy.says(str(error)), f"give it as {example}")

    def _list(self, kwargs: dict[str, Any], key: str, option: Option) -> list[str]:
        found = self._either(kwargs, key, option)
        if found is None:
            return []
        value = found.value.split(",") if isinstance(found.value, str) else found.value
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self._problem(found.option, value, found.says("is no list of texts"), f"give it as {option.example}")
            return []
        return [item.strip() for item in value if item.strip()]

    def _public_ip(self, kwargs: dict[str, Any]) -> bool:
        found = self._either(kwargs, "assignPublicIp", options.ASSIGN_PUBLIC_IP)
        if found is None or isinstance(found.value, bool):
            return bool(found and found.value)
        words = {"ENABLED": "true", "DISABLED": "false"}
        text = str(found.value)
        try:
            return bool(parse_option(options.ASSIGN_PUBLIC_IP, words.get(text.upper(), text)))
        except ValueError as error:
            self._problem(found.option, found.value, found.says("is wrong"), str(error))
            return False

    def _network_configuration(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        given = kwargs.pop("networkConfiguration", {})
        subnets = self._list(kwargs, "subnets", options.SUBNETS)
        groups = self._list(kwargs, "securityGroups", options.SECURITY_GROUPS)
        public_ip = self._public_ip(kwargs)
        vpc = given.get("awsvpcConfiguration", {}) if isinstance(given, dict) else None
        if not isinstance(vpc, dict):
            text = "has a networkConfiguration that is no object with awsvpcConfiguration, an object itself"
            self._problem(options.RUN_TASK_KWARGS, given, text, "correct or remove it")
            return {}
        merged: dict[str, Any] = {}
        if subnets or groups or public_ip:
            merged = {"subnets": subnets, "securityGroups": groups}
            merged["assignPublicIp"] = "ENABLED" if public_ip else "DISABLED"
        merged.update(vpc)
        merged = {key: value for key, value in merged.items() if value != []}
        if not merged:
            return dict(given)
        self._check_vpc(merged, vpc)
        return {**given, "awsvpcConfiguration": merged}

    def _check_vpc(self, merged: Mapping[str, Any], vpc: Mapping[str, Any]) -> None:
        for key, option, most in (
            ("subnets", options.SUBNETS, MAX_SUBNETS),
            ("securityGroups", options.SECURITY_GROUPS, MAX_SECURITY_GROUPS),
        ):
            found = _Found(merged.get(key, []), options.RUN_TASK_KWARGS, key) if key in vpc else None
            found = found or _Found(merged.get(key, []), option)
            if not isinstance(found.value, list) or not all(isinstance(item, str) for item in found.value):
                self._problem(found.option, found.value, found.says("is no list of texts"), "give a list of IDs")
            elif len(found.value) > most:
                text = found.says(f"has {len(found.value)} items")
                self._problem(found.option, ",".join(found.value), text, f"AWS takes at most {most}")
        if merged.get("assignPublicIp", "DISABLED") not in ("ENABLED", "DISABLED"):
            text = "has an assignPublicIp that is neither ENABLED nor DISABLED"
            self._problem(options.RUN_TASK_KWARGS, merged["assignPublicIp"], text, "give one of the two")
        if not merged.get("subnets"):
            self._problem(
                options.SUBNETS,
                None,
                "is not set, but required with security groups or a public IP",
                f"set it, for instance to {options.SUBNETS.example}",
            )

    def _overrides(self, given: Any, container_name: str) -> dict[str, Any]:
        """The overrides with an entry for our container, which is last unless the user has put it elsewhere."""

        def refuse(text: str, remedy: str) -> dict[str, Any]:
            self._problem(options.RUN_TASK_KWARGS, None, text, remedy)
            return {}

        if not isinstance(given, dict):
            return refuse("has overrides that are no object", "correct or remove them")
        containers = given.get("containerOverrides", [])
        if not isinstance(containers, list) or not all(isinstance(entry, dict) for entry in containers):
            return refuse("has overrides.containerOverrides that are no list of objects", "correct or remove them")
        nameless = [entry for entry in containers if not entry.get("name")]
        named_ours = [entry for entry in containers if entry.get("name") == container_name]
        if len(nameless) == 1 and not named_ours:
            # The only one without a name is ours.
            nameless[0]["name"] = container_name
            named_ours = nameless
        elif nameless:
            return refuse("has an entry without a name in overrides.containerOverrides", "name its container")
        if len(named_ours) > 1:
            return refuse(f"has two entries for the container {container_name}", "make them one")
        for entry in containers:
            try:
                check_environment(entry)
            except ValueError as error:
                return refuse(f"cannot be used ({error})", "correct it")
        if not named_ours:
            named_ours = [{"name": container_name}]
            containers = [*containers, *named_ours]
        if named_ours[0].pop("command", None):
            return refuse(f"has a command for the container {container_name}", "remove it: the executor sets it")
        return {**given, "containerOverrides": containers}

    def _spared(self, request: dict[str, Any]) -> dict[str, str]:
        """Take out of a request for EC2 what is Fargate's, and say so where somebody asked for it."""
        dropped = drop_fargate_only(request)
        asked = []
        if dropped.get("platformVersion", "LATEST") != "LATEST":
            asked.append(f"platform version {dropped['platformVersion']}")
        if dropped.get("assignPublicIp") == "ENABLED":
            asked.append("public IP")
        if asked:
            what = request.get("launchType") or "these capacity providers"
            self._warnings.append(f"{' and '.join(asked)}: Fargate only, so not sent for {what}")
        return dropped

    # Workloads in S3.

    def _check_workloads(self, values: Mapping[str, Any]) -> None:
        uri = options.WORKLOAD_S3_URI
        if values["workload_s3_use"] == options.ALWAYS and not self._text(uri):
            text = f"is not set, but required with workload_s3_use = {options.ALWAYS}"
            self._problem(uri, None, text, f"set it to {uri.allowed}")

    # The connection.

    def _connection(self) -> tuple[str | None, bool]:
        preferred, usual = self._raw(options.AWS_CONN_ID), self._raw(options.CONN_ID)
        if preferred and usual and preferred != usual and usual != DEFAULT_CONNECTION:
            self._problem(
                options.AWS_CONN_ID,
                preferred,
                f"differs from {options.CONN_ID} ({_shortened(usual)})",
                "they mean the same: remove one",
            )
        for option, text in ((options.AWS_CONN_ID, preferred), (options.CONN_ID, usual)):
            if text is not None:
                # The Amazon provider declares a default for conn_id, which nobody has named.
                by_user = option is options.AWS_CONN_ID or text != DEFAULT_CONNECTION or self._in_environ(option)
                return (text, by_user) if text else (None, False)
        return DEFAULT_CONNECTION, False

    def _in_environ(self, option: Option) -> bool:
        return any(option.variable(team) in self._environ for team in {None, self._team})


def parse_option(option: Option, text: str) -> Any:
    """Read ``text`` as a value of ``option``; ValueError says what is allowed."""
    if option.type == options.BOOLEAN:
        word = text.split("#")[0].strip().lower()
        if word not in _TRUE + _FALSE:
            raise ValueError("give True or False")
        return word in _TRUE
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
    # int() and float() would also take "1_6", "nan" and other scripts' digits.
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


def _nearest(name: str, names: Any) -> str:
    nearest = difflib.get_close_matches(name, sorted(names), n=1)
    return f" (did you mean {nearest[0]}?)" if nearest else ""


def _shortened(text: str) -> str:
    shown = repr(text)
    return shown if len(shown) <= 120 else shown[:119] + "…"
