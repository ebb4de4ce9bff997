"""What `make demo` shows: DAGs that use what an Airflow on ECS has to cope with."""

from __future__ import annotations

from pathlib import Path

DAGS = Path(__file__).parent / "dags"
EXAMPLES = ("example_bash_operator", "example_branch_labels", "example_short_circuit_decorator")
"""Airflow's own, copied from the image: they are the same on every Airflow of the matrix, and need nothing else."""
