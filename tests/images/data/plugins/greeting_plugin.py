"""A plugin: proves that the folder of plugins is loaded."""

from airflow.plugins_manager import AirflowPlugin


class GreetingPlugin(AirflowPlugin):
    name = "greeting"
