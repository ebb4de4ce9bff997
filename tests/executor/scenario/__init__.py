"""Real schedulers on PostgreSQL; the ECS API is simulated, its containers report what real ones report."""

TASK_API_VARIABLE = "SCENARIO_TASK_API"
"""Where simulated containers report to; the server's environment has it."""
