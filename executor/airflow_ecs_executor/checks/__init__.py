"""Checks of ECS, of images, and of a task definition's environment before tasks run."""
