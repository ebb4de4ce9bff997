"""The command line: ``python -m airflow_ecs_executor``."""

import sys

from airflow_ecs_executor.cli.command_line import main

if __name__ == "__main__":
    sys.exit(main())
