"""The settings with which Airflow's components use this executor, and the formats in which they are written. Pure.

The values come from the outputs of a stack and from flags, which override them.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Any, Iterator, Mapping, NamedTuple, Sequence

from airflow_ecs_executor.aws import names
from airflow_ecs_executor.aws.run_task import canonical, parse_json
from airflow_ecs_executor.aws.stack import StackOutputs
from airflow_ecs_executor.config import options
from airflow_ecs_executor.config.options import OPTIONS, STRING, Option, parse_option
from airflow_ecs_executor.config.reader import read_settings
from airflow_ecs_executor.config.source import ConfigurationError, Problem

EXPORTS, AIRFLOW_CFG, ENV_FILE = "exports", "airflow.cfg", "env-file"
FORMATS = (EXPORTS, AIRFLOW_CFG, ENV_FILE)

# The ARN of a secret ends with its name; a JSON key or a version, as in ECS's `valueFrom`, is not supported.
_SECRET_NAME = r"[A-Za-z0-9/_+=.@-]{1,512}"
_SECRET = rf"{_SECRET_NAME}|arn:[a-z-]+:secretsmanager:(?P<region>[a-z0-9-]+):[0-9]{{12}}:secret:{_SECRET_NAME}"
_SECRET_ALLOWED = "the ARN or the name of a secret whose string is the value"


def _secret(section: str, name: str, description: str) -> Option:
    return Option(section, name, STRING, description, pattern=_SECRET, allowed=_SECRET_ALLOWED, sensitive=True)


_OWN_CLASS = "airflow_ecs_executor.AwsEcsExecutor"
GENERAL: Mapping[str, Option] = {
    "executor": Option(
        "core",
        "executor",
        STRING,
        "Airflow's executors, separated by commas, with this one among them. The first one is the default.",
        default=_OWN_CLASS,
        example=f"LocalExecutor,ecs:{_OWN_CLASS}",
        pattern=rf"(\S*[,:;=])?{re.escape(_OWN_CLASS)}([,;]\S*)?",
        allowed=f"{_OWN_CLASS}, alone or among others, without spaces",
    ),
    "database_secret": _secret(
        "database",
        "sql_alchemy_conn",
        "Secret in AWS Secrets Manager that has the URL of the metadata database.",
    ),
    "fernet_secret": _secret(
        "core", "fernet_key", "Secret that has the Fernet key, which encrypts connections and variables."
    ),
    "jwt_secret": _secret(
        "api_auth",
        "jwt_secret",
        "Airflow 3: secret with the key that signs the tokens of tasks. Scheduler and API server require the same key.",
    ),
    "remote_logs": Option(
        "logging",
        "remote_base_log_folder",
        STRING,
        "Location of task logs; it turns remote logging on.",
        example="s3://my-airflow-bucket/logs",
        pattern=names.TASK_LOGS,
        allowed="s3://BUCKET/PREFIX, or cloudwatch:// and the ARN of a log group without the final :*",
    ),
}
"""The settings other than the executor's options, by the names of their flags."""


class Setting(NamedTuple):
    """An option of Airflow with its value, or with the ``aws`` command that prints the value."""

    section: str
    name: str
    value: str
    is_command: bool = False

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return options.variable_of(self.section, self.name)

    def as_airflow_reads_it(self) -> Setting:
        """Return a command as the option ``…_cmd``, from which Airflow gets the value; anything else unchanged.

        Airflow splits a command as a shell does, but runs it without a shell, and its whole output is the value,
        including a newline at the end (airflow.configuration.run_command), which would become part of the name of the
        database. The shell removes the newline, and fails if the AWS CLI fails. No process list shows the value, since
        printf is a builtin of the shell.
        """
        if not self.is_command:
            return self
        return Setting(self.section, f"{self.name}_cmd", f"sh -c 'v=$({self.value}) && printf %s \"$v\"'")


@dataclass(frozen=True)
class AirflowSettings:
    """The settings in order, and warnings for the user."""

    settings: tuple[Setting, ...]
    warnings: tuple[str, ...]


def airflow_settings(given: Mapping[str, str], stack: StackOutputs | None = None) -> AirflowSettings:
    """Return the settings that are required, differ from the default, or were given.

    ``given`` has values by the names of options and of `GENERAL`; an empty one removes the value of the stack.
    Raises ConfigurationError, which has every problem, as at the start of the executor.
    """
    given = {name: _in_one_line(text) for name, text in given.items()}
    values = {**(_of_stack(stack, given) if stack else {}), **given}
    problems = [*_general_problems(values)]
    try:
        read = read_settings(_Configuration(values), {})
    except ConfigurationError as error:
        problems += error.problems
    if problems:
        raise ConfigurationError(problems)
    settings = [*_general_settings(values)]
    for option in OPTIONS:
        text = values.get(option.name)
        # Only these two have a meaning when they are empty: no Airflow connection.
        if text or (text is not None and option in (options.AWS_CONN_ID, options.CONN_ID)):
            settings.append(Setting(option.section, option.name, text))
    return AirflowSettings(tuple(settings), (*read.warnings, *_replaced(settings)))


class _Configuration:
    """The given values, with the interface of Airflow's configuration."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def get(self, section: str, key: str, fallback: Any = None) -> Any:
        return self._values.get(key, fallback)


def _of_stack(stack: StackOutputs, given: Mapping[str, str]) -> dict[str, str]:
    values = {
        "database_secret": stack.database_url_secret_arn,
        "fernet_secret": stack.fernet_key_secret_arn,
        "remote_logs": stack.logs_uri,
        options.CLUSTER.name: stack.cluster_name,
        options.CONTAINER_NAME.name: stack.container_name,
        options.REGION_NAME.name: stack.region,
        options.TASK_DEFINITION.name: stack.task_definition_family,
        options.SUBNETS.name: stack.subnets,
        options.SECURITY_GROUPS.name: stack.security_groups,
        options.WORKLOAD_S3_URI.name: stack.workloads_uri,
    }
    if stack.assign_public_ip != options.ASSIGN_PUBLIC_IP.default:
        values[options.ASSIGN_PUBLIC_IP.name] = stack.assign_public_ip
    if not _chooses_capacity(given):
        values[options.LAUNCH_TYPE.name] = (
            "FARGATE"  # which the roles, the network and the task definition of the stack are made for
        )
    return values


def _chooses_capacity(given: Mapping[str, str]) -> bool:
    if given.get(options.CAPACITY_PROVIDER_STRATEGY.name):
        return True
    try:
        kwargs = canonical(parse_json(given.get(options.RUN_TASK_KWARGS.name) or "{}"), camelize=True)
    except ValueError:
        return False  # a problem that is reported elsewhere
    return isinstance(kwargs, dict) and not kwargs.keys().isdisjoint({"launchType", "capacityProviderStrategy"})


def _in_one_line(text: str) -> str:
    """Return a text on one line, as env files and comments require. In JSON, a line break equals a space."""
    return re.sub(r"\s*[\r\n]+\s*", " ", text.strip())


def _general_problems(values: Mapping[str, str]) -> Iterator[Problem]:
    for flag, option in GENERAL.items():
        text = values.get(flag)
        if text:
            try:
                parse_option(option, text)
            except ValueError as error:
                yield Problem(option, f"--{flag.replace('_', '-')}", text, "is not valid", str(error))


def _general_settings(values: Mapping[str, str]) -> Iterator[Setting]:
    region = values.get(options.REGION_NAME.name, "")
    for flag, option in GENERAL.items():
        text = values.get(flag) or option.default
        if not text:
            continue
        if option.sensitive:
            yield Setting(option.section, option.name, command_for_secret(text, region), is_command=True)
        elif option is GENERAL["remote_logs"]:
            yield Setting(option.section, "remote_logging", "True")
            yield Setting(option.section, option.name, text)
        else:
            yield Setting(option.section, option.name, text)


def command_for_secret(secret: str, region: str = "") -> str:
    """Return the command of the AWS CLI that prints the string of a secret.

    ``secret`` is an ARN, or a name in ``region``, without which the configuration of the AWS CLI decides.
    """
    found = re.fullmatch(_SECRET, secret)
    region = (found and found["region"]) or region
    command = f"aws secretsmanager get-secret-value --secret-id {secret} --query SecretString --output text"
    return f"{command} --region {region}" if region else command


def _replaced(settings: Sequence[Setting]) -> Iterator[str]:
    for setting in settings:
        found = re.search(r"\$(\w+|\{[^}]*\})", setting.value)
        if found:
            yield (
                f"[{setting.section}] {setting.name} has {found[0]}: Airflow replaces it if its process has a variable "
                "of that name"
            )


def as_text(settings: Sequence[Setting], form: str, *, once: bool = False) -> str:
    """Return settings as shell commands, lines of airflow.cfg, or lines for ``docker run --env-file``.

    ``form`` is one of `FORMATS`. With `EXPORTS` and ``once``, the shell reads secrets once, not Airflow each time.
    """
    if not once:
        settings = [setting.as_airflow_reads_it() for setting in settings]
    if form == AIRFLOW_CFG:
        return "\n".join(_sections(settings))
    if form == EXPORTS:
        return "".join(_export(setting) for setting in settings)
    # Everything after the first = is the value.
    return "".join(f"{setting.variable}={setting.value}\n" for setting in settings)


def _export(setting: Setting) -> str:
    if setting.is_command:  # `export` would hide that the command has failed
        return f'{setting.variable}="$({setting.value})" || return\nexport {setting.variable}\n'
    return f"export {setting.variable}={shlex.quote(setting.value)}\n"


def _sections(settings: Sequence[Setting]) -> Iterator[str]:
    for section in dict.fromkeys(setting.section for setting in settings):
        lines = [f"[{section}]"]
        for setting in settings:
            if setting.section == section:
                value = setting.value.replace("%", "%%")  # configparser's interpolation
                lines.append(f"{setting.name} = {value}".rstrip())
        yield "\n".join([*lines, ""])
