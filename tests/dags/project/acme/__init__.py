"""The project's own package, imported by its DAGs by absolute name."""
