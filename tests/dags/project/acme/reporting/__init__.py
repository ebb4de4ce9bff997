"""A sub-package: how reports look."""

from acme.reporting.summary import summary

__all__ = ["summary"]
