"""Configuration: the options as data, and the settings that are read from Airflow's configuration."""
