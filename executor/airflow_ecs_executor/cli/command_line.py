"""The command line: ``python -m airflow_ecs_executor check`` and ``config``.

Only ``check`` needs Airflow, so only ``check`` imports it.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
from typing import Sequence

from airflow_ecs_executor.cli import check, config
from airflow_ecs_executor.image_check.comparison import EXIT_CODES, Fit, Versions

PROGRAM = "python -m airflow_ecs_executor"
_CONFIGURATION = 2
_CHECK = """\
Check configuration, ECS, image and environment as the scheduler does when it starts, without starting it.

Airflow's own configuration and versions are used. On a machine without Airflow: `python build.py check`.
"""
_CHECK_EPILOG = f"""\
exit codes: 0 everything fits, {_CONFIGURATION} the configuration is wrong, 3 ECS cannot be used,
{EXIT_CODES[Fit.INCOMPATIBLE]} the image does not fit, {EXIT_CODES[Fit.UNKNOWN]} whether it fits is not known
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog=PROGRAM)
    commands = parser.add_subparsers(metavar="COMMAND", dest="command", required=True)
    check_parser = commands.add_parser(
        "check",
        help="check everything that the scheduler checks when it starts",
        description=_CHECK,
        epilog=_CHECK_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check_parser.add_argument(
        "--task-definition", metavar="NAME", help="instead of the configured one; also FAMILY:matching"
    )
    check_parser.add_argument("--airflow", metavar="VERSION", help="what the image has to have; default: this Airflow")
    check_parser.add_argument("--python", metavar="X.Y", help="what the image has to have; default: this Python")
    check_parser.add_argument("--json", action="store_true", help="as JSON")
    config_parser = commands.add_parser(
        "config",
        help="print the settings for scheduler and web server or API server",
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
    # Only the answer goes to standard output. Airflow logs there too, from its import on.
    try:
        with contextlib.redirect_stdout(sys.stderr):
            from airflow.configuration import conf

            from airflow_ecs_executor import airflow_compat
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "airflow":
            raise
        parser.error("Airflow is not installed here. Run it where the scheduler runs, or `python build.py check`.")
    own = airflow_compat.versions()
    try:
        wanted = Versions.of(parsed.airflow or own.airflow, parsed.python or own.python)
    except ValueError as error:
        parser.error(str(error))
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s", force=True)
    logging.getLogger("airflow_ecs_executor").setLevel(logging.INFO)
    return check.check(conf, airflow_compat, wanted, parsed.task_definition, parsed.json)
