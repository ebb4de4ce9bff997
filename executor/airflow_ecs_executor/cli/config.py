"""Print the settings of Airflow's scheduler, web server or API server, DAG processor and triggerer.

The values come from the outputs of a stack of deploy/template.yaml (--stack), from flags, or from both. A flag
overrides the stack, and an empty flag (--workload-s3-uri '') removes the value of the stack. Defaults are omitted. The
output has no secrets, only the commands with which Airflow reads them from AWS Secrets Manager; they require the AWS
CLI where Airflow runs. This command does not require Airflow.
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
from airflow_ecs_executor.cli import exit_codes
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
from airflow_ecs_executor.config.source import ConfigurationError

_PROGRAM = "python -m airflow_ecs_executor config"
USAGE = (
    f"{_PROGRAM} [--stack NAME] [--region REGION] [--format {'|'.join(FORMATS)}] [--output FILE] [--OPTION VALUE ...]"
)
EPILOG = f"""\
exit codes: 0 printed or written, {exit_codes.CONFIGURATION} a value is missing or not valid,
{exit_codes.AWS} AWS cannot be called or refuses, {exit_codes.FILE} the file cannot be written,
{exit_codes.STACK} the stack does not exist, is not complete, or was created from another template
"""
_FLAGS = {*GENERAL, *(option.name for option in OPTIONS)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags: a few, and one for each option of the executor."""
    parser.add_argument("--stack", metavar="NAME", help="take values from the outputs of this CloudFormation stack")
    parser.add_argument("--region", help="region of the stack, the cluster and the secrets; default: AWS_REGION")
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default=EXPORTS,
        help="shell commands (default), lines of airflow.cfg, or lines for docker run --env-file",
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        help="write to a file instead of standard output; the file is complete or unchanged",
    )
    parser.add_argument(
        "--secrets-by",
        choices=("airflow", "shell"),
        default="airflow",
        help="what reads secrets: airflow (default) reads them about a dozen times in each process; shell reads them "
        "once, with exports, and the values are in the environment",
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
    """Print or write the settings, and return the exit code. ``arguments`` of the command are shown in the header."""
    once = parsed.secrets_by == "shell"
    if once and parsed.format != EXPORTS:
        return _failed(
            f"--secrets-by shell requires --format {EXPORTS}: a shell does not read the other formats.",
            exit_codes.CONFIGURATION,
        )
    try:
        stack = read_stack(parsed.stack, parsed.region) if parsed.stack else None
        given = {name: value for name, value in vars(parsed).items() if name in _FLAGS and value is not None}
        if parsed.region and not stack:
            given.setdefault(REGION_NAME.name, parsed.region)
        found = airflow_settings(given, stack)
    except StackError as error:
        return _failed(str(error), exit_codes.AWS if error.aws else exit_codes.STACK)
    except ConfigurationError as error:
        lacking = any(problem.option.required and problem.value is None for problem in error.problems)
        hint = "\nSet missing values with flags (--cluster …), or all of them with --stack NAME." if lacking else ""
        return _failed(f"{error}{hint}", exit_codes.CONFIGURATION)
    for warning in found.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    text = header(found, parsed, stack, arguments) + as_text(found.settings, parsed.format, once=once)
    if not parsed.output:
        print(text, end="")
        return 0
    try:
        _write(parsed.output, text)
    except OSError as error:
        return _failed(f"{parsed.output} cannot be written: {error.strerror or error}", exit_codes.FILE)
    print(f"{len(found.settings)} settings written to {parsed.output}", file=sys.stderr)
    return 0


def header(
    found: AirflowSettings, parsed: argparse.Namespace, stack: StackOutputs | None, arguments: Sequence[str]
) -> str:
    """Return comments that say what the settings are for, and which command prints them again."""
    source = f"the stack {parsed.stack} in {stack.region}" if stack else "flags only"
    command = " ".join(" ".join(shlex.quote(argument) for argument in arguments).split())
    lines = [
        "For Airflow's scheduler, web server or API server, DAG processor and triggerer; not for containers of tasks.",
        f"Generated from {source} by",
        f"  {_PROGRAM} {command}".rstrip(),
    ]
    secrets = [setting.name for setting in found.settings if setting.is_command]
    if secrets:
        who = "The shell that reads this" if parsed.secrets_by == "shell" else "Airflow"
        lines.append(f"{who} gets secrets from AWS Secrets Manager, which requires the AWS CLI and the permission.")
    if secrets and parsed.format == AIRFLOW_CFG:
        lines.append(f"Remove {', '.join(secrets)} from the rest of airflow.cfg: they would override the commands.")
    return "".join(f"# {line}\n" for line in lines)


def _write(path: Path, text: str) -> None:
    """Replace a file atomically. An existing file keeps its mode; a new one gets the mode of any new file."""
    path = Path(os.path.realpath(path))  # a link keeps its target
    if path.exists() and not path.is_file():
        raise OSError("it is not a regular file")
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
