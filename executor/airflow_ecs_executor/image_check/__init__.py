"""What an image is, by its registry alone, and whether that fits. Free of Airflow: the build tool uses it as well."""
