"""Preparation and start of the container's command."""
