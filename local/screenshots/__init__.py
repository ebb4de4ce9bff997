"""The screenshots of the docs, taken anew: an Airflow on the local ECS, and a browser that logs in to it.

`take` starts the Airflows and knows the pictures; `browser` is run by an interpreter with Playwright, and takes them.
"""
