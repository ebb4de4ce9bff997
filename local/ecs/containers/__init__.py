"""The runner on Docker: each task is a set of containers on this machine's engine, as Fargate would run them.

The modules: ``spec`` (pure: a task to what the engine is told) → ``runner`` (a task's life) with ``engine`` (the Docker
engine), ``injected`` (secrets and environment files), ``awslogs`` (output to CloudWatch Logs) and ``metadata`` (what
containers ask at 169.254.170.2).
"""

SOCKET = "/var/run/docker.sock"
"""Of the engine: where it usually is, and where the runner finds it."""
