"""Render the Dockerfile of a spec: the same spec gives the same bytes. Pure, except for reading the template."""

from __future__ import annotations

import hashlib
from pathlib import Path

import jinja2

from images.labels import labels
from images.spec import AIRFLOW_HOME, CONTRACT_VERSION, ImageSpec

_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    undefined=jinja2.StrictUndefined,
    autoescape=False,  # Dockerfiles, not HTML
    keep_trailing_newline=True,
    trim_blocks=False,
)


def quoted(value: str) -> str:
    """Return a Dockerfile word in double quotes, in which nothing is expanded. Raises ValueError for a line break."""
    if "\n" in value or "\r" in value:
        raise ValueError("a Dockerfile value cannot hold a line break")
    for character in ("\\", '"', "$"):
        value = value.replace(character, "\\" + character)
    return f'"{value}"'


def shell_quoted(value: str) -> str:
    """Return a word of a shell command, in which nothing is expanded. Raises ValueError as `quoted`."""
    return quoted(value).replace("`", "\\`")


_TEMPLATES.filters["quoted"] = quoted
_TEMPLATES.filters["shell_quoted"] = shell_quoted


def render(spec: ImageSpec, wheel: str) -> str:
    """Return the Dockerfile of an image; ``wheel`` is the file name of the entrypoint's wheel in ``wheels/``."""
    options = spec.options
    return _TEMPLATES.get_template("Dockerfile.j2").render(
        spec=spec,
        options=options,
        contract=CONTRACT_VERSION,
        airflow_home=AIRFLOW_HOME,
        wheel=wheel,
        pip_cache=_pip_cache(spec),
        labels=labels(spec, wheel.split("-")[1]).items(),
    )


def _pip_cache(spec: ImageSpec) -> str:
    """Return what tells the pip cache of images with other Debian packages, or on a base of the user's, from others."""
    base = spec.base_image if spec.flavour == "custom" else ""
    content = " ".join((base, *spec.options.apt_packages)).strip()
    return f"-{hashlib.sha256(content.encode()).hexdigest()[:8]}" if content else ""
