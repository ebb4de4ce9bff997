"""Labels of an image (docs/image-contract.md). Pure."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_ecs_executor.image_check.facts import AIRFLOW, CONTRACT, DAGS, LABEL_PREFIX, PYTHON

from images.spec import CONTRACT_VERSION, ImageSpec

TITLE = "airflow-ecs-worker"

OCI_TITLE = "org.opencontainers.image.title"
OCI_DESCRIPTION = "org.opencontainers.image.description"
OCI_VERSION = "org.opencontainers.image.version"
OCI_CREATED = "org.opencontainers.image.created"
OCI_REVISION = "org.opencontainers.image.revision"
OCI_SOURCE = "org.opencontainers.image.source"
OCI_BASE_NAME = "org.opencontainers.image.base.name"
OCI_BASE_DIGEST = "org.opencontainers.image.base.digest"
ENTRYPOINT = f"{LABEL_PREFIX}entrypoint"
AWS_CLI = f"{LABEL_PREFIX}aws-cli"
INSECURE = f"{LABEL_PREFIX}insecure"
INSECURE_AWS_CREDENTIALS = "aws-credentials"

# Labels of the official images that would say of ours what is true of the base alone.
_OF_THE_BASE = (
    "org.opencontainers.image.authors",
    "org.opencontainers.image.documentation",
    "org.opencontainers.image.ref.name",
    "org.opencontainers.image.url",
    "org.opencontainers.image.vendor",
    OCI_CREATED,
    OCI_REVISION,
    OCI_SOURCE,
)


def labels(spec: ImageSpec, entrypoint_version: str) -> dict[str, str]:
    """Return the labels that follow from the spec, and the user's own, which may not replace those of the contract."""
    written = {
        **dict.fromkeys(_OF_THE_BASE, ""),
        OCI_TITLE: TITLE,
        OCI_DESCRIPTION: f"Apache Airflow {spec.airflow} worker for Amazon ECS",
        OCI_VERSION: spec.identifier,
        OCI_BASE_NAME: spec.base_image,
        CONTRACT: CONTRACT_VERSION,
        AIRFLOW: spec.airflow,
        PYTHON: spec.python,
        DAGS: spec.dags,
        ENTRYPOINT: entrypoint_version,
        AWS_CLI: "true" if spec.options.aws_cli else "false",
    }
    if spec.base_digest:
        written[OCI_BASE_DIGEST] = spec.base_digest
    if spec.options.insecure_aws_credentials:
        written[INSECURE] = INSECURE_AWS_CREDENTIALS
    return {**written, **dict(spec.options.labels)}


def build_labels(created: str, revision: str, source: str, own: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that depend on when and where the build runs, and so are in no Dockerfile.

    ``created`` is an RFC 3339 time, ``revision`` the commit and ``source`` the address of the repository, both empty if
    they are not known. ``own`` are the user's labels, which are in the Dockerfile and win.
    """
    written = {OCI_CREATED: created, OCI_REVISION: revision, OCI_SOURCE: source}
    return {name: value for name, value in written.items() if name not in own}
