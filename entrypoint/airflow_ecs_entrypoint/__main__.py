"""``python -m airflow_ecs_entrypoint``: the same as the console script."""

from .main import main

raise SystemExit(main())
