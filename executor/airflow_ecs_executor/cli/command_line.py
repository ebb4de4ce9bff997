"""The command line: ``python -m airflow_ecs_executor check`` and ``config``. Only ``check`` imports Airflow."""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
from typing import Sequence

from airflow_ecs_executor import __version__
from airflow_ecs_executor.cli import check, config, exit_codes
from airflow_ecs_executor.image_check.comparison import EXIT_CODES, Fit, Versions

PROGRAM = "python -m airflow_ecs_executor"
_CHECK = """\
Check configuration, ECS, image and environment as the scheduler does when it starts, without starting it.

It uses the configuration and the versions of the installed Airflow. Without Airflow, use `python build.py check`.
"""
_CHECK_EPILOG = f"""\
exit codes: 0 the image is compatible, {exit_codes.CONFIGURATION} the configuration is not valid,
{exit_codes.AWS} ECS cannot be used, {EXIT_CODES[Fit.INCOMPATIBLE]} the image is incompatible,
{EXIT_CODES[Fit.UNKNOWN]} the image could not be checked
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and return the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog=PROGRAM)
    parser.add_argument("--version", action="version", version=f"airflow-ecs-executor {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", dest="command", required=True)
    check_parser = commands.add_parser(
        "check",
        help="check what the scheduler checks when it starts",
        description=_CHECK,
        epilog=_CHECK_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check_parser.add_argument(
        "--task-definition",
        metavar="NAME",
        help="check this task definition, also as FAMILY:matching; default: the configured one",
    )
    check_parser.add_argument(
        "--airflow", metavar="VERSION", help="expected Airflow version; default: the installed one"
    )
    check_parser.add_argument(
        "--python", metavar="X.Y", help="expected Python version; default: the one that runs this"
    )
    check_parser.add_argument("--json", action="store_true", help="print JSON")
    config_parser = commands.add_parser(
        "config",
        help="print the settings of the Airflow components",
        description=config.__doc__,
        epilog=config.EPILOG,
        usage=config.USAGE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    config.add_arguments(config_parser)
    parsed = parser.parse_args(words)
    return _check(parsed, check_parser) if parsed.command == "check" else config.run(parsed, words[1:])


def _check(parsed: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    # Only the result goes to standard output, where Airflow logs as soon as it is imported.
    try:
        with contextlib.redirect_stdout(sys.stderr):
            from airflow.configuration import conf

            from airflow_ecs_executor import airflow_compat
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "airflow":
            raise
        parser.error(
            "Airflow is not installed here. Run this where the scheduler runs, or use `python build.py check`."
        )
    own = airflow_compat.versions()
    try:
        expected = Versions.of(parsed.airflow or own.airflow, parsed.python or own.python)
    except ValueError as error:
        parser.error(str(error))
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s", force=True)
    logging.getLogger("airflow_ecs_executor").setLevel(logging.INFO)
    return check.check(conf, airflow_compat, expected, parsed.task_definition, parsed.json)
