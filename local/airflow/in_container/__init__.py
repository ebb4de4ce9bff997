"""Scripts that run inside containers of the image, with the image's own Airflow: Python 3.8 and up."""
