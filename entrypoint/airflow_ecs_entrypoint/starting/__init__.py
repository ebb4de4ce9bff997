"""Prepares and starts the container's command."""
