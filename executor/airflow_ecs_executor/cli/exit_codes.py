"""The exit codes of the commands; a command that checks an image also has those of `image_check.comparison`."""

from __future__ import annotations

CONFIGURATION = 2
"""A value is missing or not valid; argparse exits with it as well."""
AWS = 3
"""AWS cannot be called, refuses, or has no such resource."""
STACK = 4
"""The stack does not exist, is not complete, or was created from another template."""
FILE = 5
"""The output file cannot be written."""
