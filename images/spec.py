"""What one image is: frozen data that rendering, baking, tagging and verification read."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from airflow_ecs_executor.image_check.comparison import CONTRACTS

from images.requirements import Requirements

CONTRACT_VERSION = CONTRACTS[-1]
"""Version of docs/image-contract.md that the images follow."""

AIRFLOW_HOME = "/opt/airflow"
"""AIRFLOW_HOME of the official images."""

AWS_CREDENTIALS = {
    "aws_access_key_id": "AWS_ACCESS_KEY_ID",
    "aws_secret_access_key": "AWS_SECRET_ACCESS_KEY",
    "aws_session_token": "AWS_SESSION_TOKEN",
}
"""Build arguments of the insecure flag (the reference's names), and the environment variables they are read from."""


class Constraints(Enum):
    """What constrains the requirements, as `steps/install_packages.py` takes it; FILE is the user's, in the image.

    RELAXED are those of the image, as far as the requirements allow.
    """

    IMAGE = "image"
    RELAXED = "relaxed"
    NONE = "none"
    FILE = "/opt/airflow-ecs/constraints.txt"


@dataclass(frozen=True)
class Options:
    """What all images of one request have in common: settings and files that are written into them."""

    container_dag_path: str = f"{AIRFLOW_HOME}/dags"
    s3_uri: str = ""
    plugins_s3_uri: str = ""
    config_s3_uri: str = ""
    dag_path: Path | None = None
    plugins_path: Path | None = None
    config_path: Path | None = None
    requirements: Requirements | None = None
    constraints: Constraints = Constraints.IMAGE
    constraints_file: Path | None = None
    apt_packages: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    airflow_cfg: Path | None = None
    region: str = ""
    aws_cli: bool = True
    labels: tuple[tuple[str, str], ...] = ()
    insecure_aws_credentials: bool = False


@dataclass(frozen=True)
class ImageSpec:
    """One image: its versions, base and DAG mode, and the options that it shares with others."""

    airflow: str
    python: str
    dags: str
    base_image: str
    base_digest: str = ""
    flavour: str = "full"
    install: tuple[str, ...] = ()
    options: Options = field(default_factory=Options)

    @property
    def prefix(self) -> str:
        """Return what identifier and tags begin with: the flavour, unless it is the default or the user's own image."""
        return "" if self.flavour in ("full", "custom") else f"{self.flavour}-"

    @property
    def identifier(self) -> str:
        """Return a name that people can type and select by pattern, such as ``slim-3.3.2-python3.12-local``."""
        return f"{self.prefix}{self.airflow}-python{self.python}-{self.dags}"

    @property
    def base_reference(self) -> str:
        """Return what ``FROM`` names: the base image, pinned by digest if one is given."""
        return f"{self.base_image}@{self.base_digest}" if self.base_digest else self.base_image
