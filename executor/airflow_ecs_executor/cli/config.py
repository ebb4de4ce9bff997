"""Print what Airflow's scheduler, web server or API server, DAG processor and triggerer have to be told.

The settings come from the outputs of the stack of deploy/template.yaml (--stack), from flags, or from both; flags win,
and an empty one (--workload-s3-uri '') takes away what the stack says. What is at its default is left out. The answer
holds no secret, but the command by which Airflow asks AWS Secrets Manager: the AWS CLI has to be where Airflow is. No
Airflow is needed here.
"""

from __future__ import annotations

import argparse
import os
import shlex
import stat
import sys
from pathlib import Path
from typing import Sequence

from airflow_ecs_executor.aws.stack import StackError, StackOutputs, read_stack
from airflow_ecs_executor.cli.airflow_settings import (
    AIRFLOW_CFG,
    EXPORTS,
    FORMATS,
    GENERAL,
    AirflowSettings,
    airflow_settings,
    as_text,
)
from airflow_ecs_executor.config.options import OPTIONS, OWN_SECTION, REGION_NAME, SHARED_SECTION, Option
from airflow_ecs_executor.config.problems import ConfigurationError

_PROGRAM = "python -m airflow_ecs_executor config"
_CONFIGURATION, _AWS, _STACK, _FILE = 2, 3, 4, 5
USAGE = (
    f"{_PROGRAM} [--stack NAME] [--region REGION] [--format {'|'.join(FORMATS)}] [--output FILE] [--OPTION VALUE ...]"
)
EPILOG = f"""\
exit codes: 0 printed, {_CONFIGURATION} a value is wrong or missing, {_AWS} AWS cannot be asked or refuses,
{_STACK} the stack is missing, not complete, or of another template, {_FILE} the file cannot be written
"""
_FLAGS = {*GENERAL, *(option.name for option in OPTIONS)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags: a few, and one for each option of the executor."""
    parser.add_argument("--stack", metavar="NAME", help="the CloudFormation stack whose outputs are read")
    parser.add_argument("--region", help="its region, and that of cluster and secrets; default: AWS_REGION")
    parser.add_argument(
        "--format", choices=FORMATS, default=EXPORTS, help="commands for a shell (default), lines, or docker --env-file"
    )
    parser.add_argument("--output", metavar="FILE", type=Path, help="write to a file, the whole of it or nothing")
    parser.add_argument(
        "--secrets-by",
        choices=("airflow", "shell"),
        default="airflow",
        help="who asks for secrets: airflow (default) does so a dozen times in each of its processes; shell, with "
        "exports, once, and the values are in the environment",
    )
    general = parser.add_argument_group("settings of Airflow")
    for flag, option in GENERAL.items():
        _add(general, flag, option, "SECRET" if option.sensitive else "VALUE")
    for section in (SHARED_SECTION, OWN_SECTION):
        group = parser.add_argument_group(f"options of [{section}]")
        for option in OPTIONS:
            if option.section == section:
                _add(group, option.name, option, "|".join(option.choices) or option.type.upper())


def _add(group: argparse._ArgumentGroup, name: str, option: Option, metavar: str) -> None:
    default = f" Default: {option.default}." if option.default else ""
    text = f"{option.description}{default}".replace("%", "%%")
    group.add_argument(f"--{name.replace('_', '-')}", dest=name, metavar=metavar, help=text)


def run(parsed: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Print or write the settings; returns the exit code. ``arguments`` are those of the command, for its header."""
    once = parsed.secrets_by == "shell"
    if once and parsed.format != EXPORTS:
        return _failed(f"--secrets-by shell goes with --format {EXPORTS}: no shell reads the others.", _CONFIGURATION)
    try:
        stack = read_stack(parsed.stack, parsed.region) if parsed.stack else None
        given = {name: value for name, value in vars(parsed).items() if name in _FLAGS and value is not None}
        if parsed.region and not stack:
            given.setdefault(REGION_NAME.name, parsed.region)
        found = airflow_settings(given, stack)
    except StackError as error:
        return _failed(str(error), _AWS if error.aws else _STACK)
    except ConfigurationError as error:
        lacking = any(problem.option.required and problem.value is None for problem in error.problems)
        hint = "\nGive what is missing by a flag (--cluster …), or all of it by --stack NAME." if lacking else ""
        return _failed(f"{error}{hint}", _CONFIGURATION)
    for warning in found.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    text = header(found, parsed, stack, arguments) + as_text(found.settings, parsed.format, once=once)
    if not parsed.output:
        print(text, end="")
        return 0
    try:
        _write(parsed.output, text)
    except OSError as error:
        return _failed(f"{parsed.output} cannot be written: {error.strerror or error}", _FILE)
    print(f"{len(found.settings)} settings written to {parsed.output}", file=sys.stderr)
    return 0


def header(
    found: AirflowSettings, parsed: argparse.Namespace, stack: StackOutputs | None, arguments: Sequence[str]
) -> str:
    """Comments that say what the settings are for and how they were made, the same each time."""
    source = f"the stack {parsed.stack} in {stack.region}" if stack else "flags alone"
    command = " ".join(" ".join(shlex.quote(argument) for argument in arguments).split())
    lines = [
        "For Airflow's scheduler, web server or API server, DAG processor and triggerer; not for tasks' containers.",
        f"Made from {source} by",
        f"  {_PROGRAM} {command}".rstrip(),
    ]
    secrets = [setting.name for setting in found.settings if setting.is_command]
    if secrets:
        who = "The shell that reads this" if parsed.secrets_by == "shell" else "Airflow"
        lines.append(f"{who} asks AWS Secrets Manager: the AWS CLI and the permission have to be there.")
    if secrets and parsed.format == AIRFLOW_CFG:
        lines.append(f"Take {', '.join(secrets)} out of the rest of airflow.cfg: they would win over the commands.")
    return "".join(f"# {line}\n" for line in lines)


def _write(path: Path, text: str) -> None:
    """Replace a file at once. An existing one keeps its mode; a new one gets that of any new file."""
    path = Path(os.path.realpath(path))  # a link goes on pointing to it
    if path.exists() and not path.is_file():
        raise OSError("it is no regular file")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("x", encoding="utf-8") as file:
            file.write(text)
        if path.exists():
            temporary.chmod(stat.S_IMODE(path.stat().st_mode))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _failed(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code
