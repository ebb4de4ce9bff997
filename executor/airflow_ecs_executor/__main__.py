"""``python -m airflow_ecs_executor``."""

import sys

from airflow_ecs_executor.check_command import main

if __name__ == "__main__":
    sys.exit(main())
