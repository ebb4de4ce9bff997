"""``python -m airflow_ecs_entrypoint``: the same as the console script."""

from airflow_ecs_entrypoint.main import main

raise SystemExit(main())
