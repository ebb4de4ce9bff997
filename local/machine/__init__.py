"""What a machine needs: a Docker engine, base images, and helpers to run containers."""
