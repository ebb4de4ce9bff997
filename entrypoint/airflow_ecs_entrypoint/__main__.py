"""Run the entrypoint with ``python -m airflow_ecs_entrypoint``, as the console script does."""

from airflow_ecs_entrypoint.main import main

raise SystemExit(main())
