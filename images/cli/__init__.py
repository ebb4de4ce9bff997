"""The command line of ``build.py``: one module for each group of commands; ``program`` runs them."""

from images.cli.program import parser_of, run

__all__ = ["parser_of", "run"]
