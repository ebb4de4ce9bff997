"""A task definition for an image: ``request`` (flags), ``definition``, ``settings``, ``fargate``, ``registration``."""
