"""A draft that does not import. Airflow never reads it, because .airflowignore names it."""

raise RuntimeError("broken_draft.py is ignored and must never be parsed")
