"""The screenshots of the docs, taken anew: an Airflow on the local ECS, and a browser that logs in to it.

`__main__` starts the Airflows, `pictures` says what is taken, and `browser`, which is run by an interpreter with
Playwright, takes it.
"""
