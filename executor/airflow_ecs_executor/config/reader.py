"""The executor's settings: it reads Airflow's configuration, and returns one frozen object. Pure.

The order of precedence, from low to high: the defaults of the options; airflow.cfg and the environment, in Airflow's
own order; ``run_task_kwargs``. `airflow_ecs_executor.launching.request` adds a task's ``executor_config``.
"""

from __future__ import annotations

import difflib
from types import MappingProxyType
from typing import Any, Mapping

from airflow_ecs_executor.aws.run_task import (
    MAX_SECURITY_GROUPS,
    MAX_SUBNETS,
    PARAMETERS,
    check_environment,
    check_started_by,
    drop_fargate_only,
    is_fargate,
    is_list_of_strings,
    parse_strategy,
    shown,
)
from airflow_ecs_executor.config import options
from airflow_ecs_executor.config.settings import Settings, network_warnings
from airflow_ecs_executor.config.source import ConfigurationError, Found, Source

_DEFAULT_CONNECTION = "aws_default"
_SUFFIXES = ("_CMD", "_SECRET")
_OLD_SECTIONS = ("ECS_EXECUTOR", "ECS_FARGATE")
"""Sections of older guides: the first one of the Amazon provider, and that of the package airflow-aws-executors."""
_OLD_NAMES = {"region": "region_name"}


def read_settings(conf: Any, environ: Mapping[str, str]) -> Settings:
    """Read and check all options. Raises ConfigurationError, which has every problem that was found.

    ``conf`` is Airflow's configuration, or one team's view of it: ``get(section, key, fallback=…)``. ``environ`` is
    searched for variables that Airflow does not read.
    """
    source = Source(conf)
    cluster = source.named_once("cluster", options.CLUSTER)
    container_name = source.named_once("containerName", options.CONTAINER_NAME)
    request = {
        "cluster": cluster,
        "count": 1,
        "taskDefinition": _task_definition(source),
        **_capacity(source),
        **_platform_version(source),
        **_network(source),
        "overrides": _overrides(source, container_name),
    }
    _check_other_parameters(source)
    request.update(source.kwargs)
    fargate = is_fargate(request, True)
    neither = "launchType" not in request and "capacityProviderStrategy" not in request
    fargate_only = {} if fargate else _without_fargate_only(source, request)
    if fargate and not neither:
        source.warnings += network_warnings(request, source.team)
    conn_id, conn_id_named = _connection(source, environ)
    values = {name: source.parsed(option) for name, option in options.named(options.OWN_SECTION).items()}
    if values["workload_s3_use"] == options.ALWAYS and not source.text(options.WORKLOAD_S3_URI):
        uri = options.WORKLOAD_S3_URI
        text = f"is required with workload_s3_use = {options.ALWAYS}, but not set"
        source.problem(uri, None, text, f"set it to {uri.allowed}")
    region_name = source.parsed(options.REGION_NAME)
    check_health = source.parsed(options.CHECK_HEALTH_ON_STARTUP)
    attempts = source.parsed(options.MAX_RUN_TASK_ATTEMPTS)
    source.warnings += unread_variables(environ)
    if source.problems:
        raise ConfigurationError(source.problems)
    return Settings(
        team=source.team,
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
        warnings=tuple(source.warnings),
        **values,
    )


def _task_definition(source: Source) -> str:
    found = source.either("taskDefinition", options.TASK_DEFINITION)
    if found is not None and isinstance(found.value, str):
        family, separator, revision = found.value.strip().rpartition(":")
        if separator and revision.upper() == "LATEST":
            source.warnings.append(
                f"{found.option} names the task definition {found.value.strip()}, but ECS has no revision LATEST: "
                f"{family} is used, which means the latest active revision"
            )
            found = found._replace(value=family)
    return source.required(found, options.TASK_DEFINITION)


def _capacity(source: Source) -> dict[str, Any]:
    launch_type = source.either("launchType", options.LAUNCH_TYPE)
    strategy = source.either("capacityProviderStrategy", options.CAPACITY_PROVIDER_STRATEGY)
    capacity: dict[str, Any] = {}
    if launch_type is not None and strategy is not None:
        both = " and ".join(
            f"{found.key} of {found.option}" if found.key else str(found.option) for found in (launch_type, strategy)
        )
        text = f"excludes a launch type, but both are set ({both})"
        source.problem(strategy.option, strategy.value, text, "remove one of them")
    if launch_type is not None:
        value = launch_type.value
        normal = launch_type._replace(value=value.strip().upper() if isinstance(value, str) else value)
        checked = source.checked(normal, options.LAUNCH_TYPE)
        if checked:
            capacity["launchType"] = checked
    if strategy is not None:
        try:
            capacity["capacityProviderStrategy"] = parse_strategy(strategy.value)
        except ValueError as error:
            example = options.CAPACITY_PROVIDER_STRATEGY.example
            source.problem(strategy.option, strategy.value, strategy.says(str(error)), f"give it as {example}")
    return capacity


def _platform_version(source: Source) -> dict[str, str]:
    option = options.PLATFORM_VERSION
    version = source.checked(source.either("platformVersion", option), option)
    return {"platformVersion": version.upper()} if version else {}


def _network(source: Source) -> dict[str, Any]:
    given = source.kwargs.pop("networkConfiguration", {})
    subnets = source.strings("subnets", options.SUBNETS)
    groups = source.strings("securityGroups", options.SECURITY_GROUPS)
    public_ip = _public_ip(source)
    vpc = given.get("awsvpcConfiguration", {}) if isinstance(given, dict) else None
    if not isinstance(vpc, dict):
        source.kwargs_problem(
            given, "has a networkConfiguration that is not an object with the object awsvpcConfiguration"
        )
        return {}
    merged: dict[str, Any] = {}
    if subnets or groups or public_ip:
        merged = {"subnets": subnets, "securityGroups": groups}
        merged["assignPublicIp"] = "ENABLED" if public_ip else "DISABLED"
    merged.update(vpc)
    merged = {key: value for key, value in merged.items() if value != []}
    if merged:
        _check_vpc(source, merged, vpc)
        given = {**given, "awsvpcConfiguration": merged}
    return {"networkConfiguration": given} if given else {}


def _public_ip(source: Source) -> bool:
    found = source.either("assignPublicIp", options.ASSIGN_PUBLIC_IP)
    if found is None or isinstance(found.value, bool):
        return bool(found and found.value)
    text = str(found.value)
    text = {"ENABLED": "true", "DISABLED": "false"}.get(text.upper(), text)
    return bool(source.checked(found._replace(value=text), options.ASSIGN_PUBLIC_IP))


def _check_vpc(source: Source, merged: Mapping[str, Any], vpc: Mapping[str, Any]) -> None:
    for key, option, most in (
        ("subnets", options.SUBNETS, MAX_SUBNETS),
        ("securityGroups", options.SECURITY_GROUPS, MAX_SECURITY_GROUPS),
    ):
        value = merged.get(key, [])
        found = Found(value, options.RUN_TASK_KWARGS, key) if key in vpc else Found(value, option)
        if not is_list_of_strings(value):
            source.problem(found.option, value, found.says("is not a list of strings"), "give a list of IDs")
        elif len(value) > most:
            text = found.says(f"has {len(value)} items")
            source.problem(found.option, ",".join(value), text, f"AWS accepts at most {most}")
    if merged.get("assignPublicIp", "DISABLED") not in ("ENABLED", "DISABLED"):
        text = "has an assignPublicIp that is neither ENABLED nor DISABLED"
        source.kwargs_problem(merged["assignPublicIp"], text, "give one of the two")
    if not merged.get("subnets"):
        text = "is required with security groups or a public IP, but not set"
        source.problem(options.SUBNETS, None, text, f"set it, for example to {options.SUBNETS.example}")


def _overrides(source: Source, container_name: str) -> dict[str, Any]:
    """Return the overrides with an entry for our container, which is last unless the user has added it elsewhere."""

    def refuse(text: str, remedy: str = "correct or remove them") -> dict[str, Any]:
        source.kwargs_problem(None, text, remedy)
        return {}

    given = source.kwargs.pop("overrides", {})
    if not isinstance(given, dict):
        return refuse("has overrides that are not an object")
    containers = given.get("containerOverrides", [])
    if not isinstance(containers, list) or not all(isinstance(entry, dict) for entry in containers):
        return refuse("has overrides.containerOverrides that are not a list of objects")
    nameless = [entry for entry in containers if not entry.get("name")]
    ours = [entry for entry in containers if entry.get("name") == container_name]
    if len(nameless) == 1 and not ours:
        nameless[0]["name"] = container_name  # a single entry without a name is ours
        ours = nameless
    elif nameless:
        return refuse("has an entry without a name in overrides.containerOverrides", "name its container")
    if len(ours) > 1:
        return refuse(f"has two entries for the container {container_name}", "merge them")
    for entry in containers:
        try:
            check_environment(entry)
        except ValueError as error:
            return refuse(f"is not valid ({error})", "correct it")
    if not ours:
        ours = [{"name": container_name}]
        containers = [*containers, *ours]
    if ours[0].pop("command", None):
        return refuse(f"has a command for the container {container_name}", "remove it: the executor sets it")
    return {**given, "containerOverrides": containers}


def _check_other_parameters(source: Source) -> None:
    kwargs = source.kwargs
    if "clientToken" in kwargs:
        source.kwargs_problem(None, "has clientToken", "remove it: every launch requires its own token")
    if kwargs.pop("count", 1) != 1:
        source.kwargs_problem(None, "has a count other than 1", "remove it: a task instance runs in one container")
    if "startedBy" in kwargs:
        try:
            check_started_by(kwargs["startedBy"])
        except ValueError as error:
            source.kwargs_problem(kwargs["startedBy"], str(error), "change or remove it")
    for key in sorted(set(kwargs) - PARAMETERS):
        nearest = difflib.get_close_matches(key, sorted(PARAMETERS), n=1)
        hint = f" (did you mean {nearest[0]}?)" if nearest else ""
        source.warnings.append(
            f"{options.RUN_TASK_KWARGS} has {key}, which is not a known parameter of RunTask{hint}; it is sent "
            "unchanged"
        )


def _without_fargate_only(source: Source, request: dict[str, Any]) -> dict[str, str]:
    """Remove from a request for EC2 what only Fargate accepts, and warn about what a user has asked for."""
    dropped = drop_fargate_only(request)
    asked = []
    if dropped.get("platformVersion", "LATEST") != "LATEST":
        asked.append(f"platform version {dropped['platformVersion']}")
    if dropped.get("assignPublicIp") == "ENABLED":
        asked.append("public IP")
    if asked:
        what = request.get("launchType") or "these capacity providers"
        source.warnings.append(f"{' and '.join(asked)}: only Fargate accepts this, so it is not sent for {what}")
    return dropped


def _connection(source: Source, environ: Mapping[str, str]) -> tuple[str | None, bool]:
    preferred, usual = source.raw(options.AWS_CONN_ID), source.raw(options.CONN_ID)
    if preferred and usual and preferred != usual and usual != _DEFAULT_CONNECTION:
        text = f"differs from {options.CONN_ID} ({shown(usual)})"
        source.problem(options.AWS_CONN_ID, preferred, text, "they mean the same: remove one")
    for option, name in ((options.AWS_CONN_ID, preferred), (options.CONN_ID, usual)):
        if name is not None:
            # The Amazon provider declares a default for conn_id, which no user has named.
            in_environ = any(option.variable(team) in environ for team in {None, source.team})
            by_user = option is options.AWS_CONN_ID or name != _DEFAULT_CONNECTION or in_environ
            return (name, by_user) if name else (None, False)
    return _DEFAULT_CONNECTION, False


# Variables that look like options, but are not read


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
