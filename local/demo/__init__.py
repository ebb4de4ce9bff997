"""What `make demo` shows: DAGs that use what an Airflow on ECS has to cope with."""
