"""A task definition for an image: its ``definition`` and ``settings``, ``fargate``, ``sidecars``, ``registration``."""
