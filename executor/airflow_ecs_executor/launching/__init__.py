"""Launches ECS tasks, follows them to their end, and adopts those of an earlier scheduler."""
