"""The facts of an image: its Airflow, its Python, its architecture, its contract. Pure.

The images of this project have labels for them; the image contract (docs/image-contract.md) has fallbacks for others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Mapping, Sequence

LABEL_PREFIX = "io.airflow-ecs."
"""The labels of this project, which the build tool writes (docs/image-contract.md)."""
CONTRACT, DAGS = f"{LABEL_PREFIX}contract", f"{LABEL_PREFIX}dags"
AIRFLOW, PYTHON = f"{LABEL_PREFIX}airflow", f"{LABEL_PREFIX}python"
_AIRFLOW_LABELS = (AIRFLOW, "org.apache.airflow.version")
_PYTHON_LABELS = (PYTHON, "org.apache.airflow.python.version")
_AIRFLOW_VARIABLES = ("AIRFLOW_VERSION",)
_PYTHON_VARIABLES = ("AIRFLOW_PYTHON_VERSION", "PYTHON_VERSION")
_TAG = re.compile(r"(?:slim-)?(?P<airflow>[0-9]+\.[0-9]+\.[0-9]+[a-z0-9.]*)-python(?P<python>[0-9]+\.[0-9]+)(?:-.*)?")
_AIRFLOW_VERSION = re.compile(r"[0-9]+\.[0-9]+[0-9A-Za-z.+-]*")
_PYTHON_VERSION = re.compile(r"(?:v|[Pp]ython )?(?P<short>[0-9]+\.[0-9]+)(?![0-9])")


@dataclass(frozen=True)
class ImageFacts:
    """The facts of an image; what is not known, or what an image of another project does not have, is an empty string.

    ``python`` is the major and minor version; ``architecture`` is OCI's name of the CPU architecture.
    """

    airflow: str = ""
    python: str = ""
    architecture: str = ""
    contract: str = ""
    dags: str = ""
    environment: Mapping[str, str] = field(default_factory=dict, hash=False)


def facts_of(config: Mapping[str, Any], tag: str = "") -> ImageFacts:
    """Read the configuration of an image (OCI image specification, config.md), whose values may have any type."""
    inner = _mapping(config.get("config"))
    labels = _mapping(inner.get("Labels"))
    listed = inner.get("Env")
    environment = dict(str(item).partition("=")[::2] for item in (listed if isinstance(listed, list) else ()))
    tagged = _TAG.fullmatch(tag)
    airflow = _candidates(labels, _AIRFLOW_LABELS) + _candidates(environment, _AIRFLOW_VARIABLES)
    python = _candidates(labels, _PYTHON_LABELS) + _candidates(environment, _PYTHON_VARIABLES)
    if tagged:
        airflow.append(tagged["airflow"])
        python.append(tagged["python"])
    short = (_PYTHON_VERSION.match(text) for text in python)
    return ImageFacts(
        airflow=next((text for text in airflow if _AIRFLOW_VERSION.fullmatch(text)), ""),
        python=next((found["short"] for found in short if found), ""),
        architecture=_text(config.get("architecture")),
        contract=_text(labels.get(CONTRACT)),
        dags=_text(labels.get(DAGS)),
        environment=environment,
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _candidates(values: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Return the values of these names, in their order."""
    return [text for text in (_text(values.get(name)) for name in names) if text]
