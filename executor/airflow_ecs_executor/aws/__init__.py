"""Calls to AWS and the meaning of its answers. Imports neither Airflow nor the rest of the executor."""
