"""The check of an image in its registry. The build tool uses it as well, so it imports no Airflow."""
