"""Check the files, folders and values that go into an image, before Docker is started."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from images.errors import InputError, RequestError, SecretError
from images.labels import RESERVED_PREFIX
from images.secrets import private_key_in, secret_options, secrets_in, sensitive_name, sensitive_value

IGNORED_NAMES = (
    "__pycache__",
    ".git",
    ".hg",
    ".svn",
    ".venv",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".DS_Store",
)
"""Names that are never copied from a folder of DAGs, plugins or configuration."""

_BETTER_WAY = (
    "Give it to the container at run time instead: `secrets` of the ECS task definition (Secrets Manager or SSM), "
    "or for an Airflow option its variant NAME_SECRET or NAME_CMD."
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?([=/][A-Za-z0-9.+:~-]+)?")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9._/-]*[a-z0-9])?")
_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-\d+")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{1,}")
_OWN_VARIABLES = {"AIRFLOW_ECS_DAGS": "--dags", "CONTAINER_DAG_PATH": "--container-dag-path", "S3_URI": "--s3-uri"}
_SYSTEM_FOLDERS = ("/bin", "/boot", "/dev", "/etc", "/lib", "/proc", "/root", "/run", "/sbin", "/sys", "/usr")


def assignment(text: str, flag: str) -> tuple[str, str]:
    """``NAME=VALUE`` of a repeatable flag.

    :raises RequestError: without ``=`` or with a line break in the value.
    """
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise RequestError(f"{flag} takes NAME=VALUE, got {name!r}.")
    if "\n" in value or "\r" in value:
        raise RequestError(f"{flag} {name}: the value holds a line break, which a Dockerfile cannot.")
    return name, value


def check_env(env: Iterable[tuple[str, str]]) -> None:
    """Environment variables for the image.

    :raises RequestError: a malformed name, or a variable that a flag of its own sets.
    :raises SecretError: the name or the value looks like a secret; the value is not shown.
    """
    for name, value in env:
        if not _VARIABLE.fullmatch(name):
            raise RequestError(f"--env {name}: not a name of an environment variable.")
        if name in _OWN_VARIABLES:
            raise RequestError(
                f"--env {name} is set by {_OWN_VARIABLES[name]}.", f"Give {_OWN_VARIABLES[name]} instead."
            )
        if name.startswith("AWS_") and not value:
            raise RequestError(f"--env {name}= is empty, and empty AWS variables break the SDK.", "Leave it out.")
        if value and (sensitive_name(name) or sensitive_value(value)):
            raise SecretError(
                f"--env {name} looks like a secret; anybody who can pull the image could read it.", _BETTER_WAY
            )


def check_labels(labels: Iterable[tuple[str, str]]) -> None:
    """Labels of the user's.

    :raises RequestError: a malformed name, or one of the contract's.
    """
    for name, _ in labels:
        if not _LABEL.fullmatch(name):
            raise RequestError(
                f"--label {name}: not a label's name.", "Lower case letters, digits, '.', '-', '_' and '/'."
            )
        if name.startswith(RESERVED_PREFIX):
            raise RequestError(f"--label {name}: labels {RESERVED_PREFIX}* are verified facts and cannot be set.")


def check_region(region: str) -> None:
    """:raises RequestError: not the name of an AWS region."""
    if region and not _REGION.fullmatch(region):
        raise RequestError(f"--region {region!r} is not an AWS region.", "For example: --region eu-west-1")


def check_s3_uri(uri: str, flag: str) -> None:
    """:raises RequestError: not ``s3://bucket`` or ``s3://bucket/prefix``."""
    parts = urlsplit(uri)
    if uri and (parts.scheme != "s3" or not _BUCKET.fullmatch(parts.netloc) or parts.query or parts.fragment):
        raise RequestError(f"{flag} is not an S3 address.", f"For example: {flag} s3://my-bucket/dags")


def check_container_path(path: str) -> None:
    """:raises RequestError: not an absolute folder that may be emptied and filled with DAGs."""
    clean = os.path.normpath(path)
    if not path.startswith("/") or clean != path.rstrip("/") or re.search(r"[\s\"'$\\]", path):
        raise RequestError(
            f"--container-dag-path {path!r} is not a plain absolute path.", "For example: /opt/airflow/dags"
        )
    if clean in ("/", "/opt", "/opt/airflow", "/home", "/home/airflow", "/tmp", "/var", "/opt/aws-cli"):
        raise RequestError(f"--container-dag-path {path} holds more than DAGs.", "For example: /opt/airflow/dags")
    if any(clean == folder or clean.startswith(folder + "/") for folder in _SYSTEM_FOLDERS):
        raise RequestError(
            f"--container-dag-path {path} is in a folder of the system.", "For example: /opt/airflow/dags"
        )


def check_apt_packages(packages: Iterable[str]) -> None:
    """:raises RequestError: not names of Debian packages, which would be options or shell code for apt-get."""
    for package in packages:
        if not _PACKAGE.fullmatch(package):
            raise RequestError(
                f"--apt-packages {package!r} is not a Debian package.", "For example: --apt-packages git libpq5"
            )


def check_airflow_cfg(path: Path) -> None:
    """A configuration file for the image.

    :raises InputError: unreadable or malformed.
    :raises SecretError: options with secrets, which are named without their values.
    """
    try:
        found = secret_options(read_text(path, "--airflow-cfg"))
    except ValueError as error:
        raise InputError(f"--airflow-cfg {path} is not a configuration file: {error}") from None
    if found:
        raise SecretError(
            f"{path} holds secrets: {', '.join(found)}; anybody who can pull the image could read them.", _BETTER_WAY
        )


def check_folder(path: Path, flag: str) -> None:
    """A folder that is copied into the image.

    :raises InputError: missing, no folder, or without a file that would be copied.
    :raises SecretError: a file holds an AWS key or a private key; it is named.
    """
    if not path.is_dir():
        raise InputError(f"{flag} {path} is not a folder.", "Give the folder itself, not a file or a pattern.")
    empty = True
    for file in files_of(path):
        empty = False
        if file.is_symlink() and not file.exists():
            raise InputError(f"{file} is a link to nothing.", "Remove it or restore what it points to.")
        try:
            content = file.read_bytes()
        except OSError as error:
            raise InputError(f"Cannot read {file}: {error.strerror or error}.") from None
        kinds = secrets_in(content) + (("private key",) if private_key_in(content) else ())
        if kinds:
            raise SecretError(
                f"{file} holds a secret ({', '.join(kinds)}) and would be copied into the image.", _BETTER_WAY
            )
    if empty:
        raise InputError(f"{flag} {path} holds no files.", "An image without DAGs fails every task: check the path.")


def files_of(folder: Path) -> list[Path]:
    """Files below a folder that are copied into an image, sorted; links are followed.

    :raises InputError: links that go round in a circle.
    """
    found: list[Path] = []
    for path, folders, files in os.walk(folder, followlinks=True):
        here = Path(path).resolve()
        if Path(path).is_symlink() and folder.resolve().is_relative_to(here):
            raise InputError(f"{path} is a link to a folder that holds it.", "Remove it.")
        folders[:] = sorted(name for name in folders if name not in IGNORED_NAMES)
        found += [Path(path, name) for name in sorted(files) if name not in IGNORED_NAMES and not name.endswith(".pyc")]
    return found


def check_file(path: Path, flag: str) -> None:
    """:raises InputError: missing, unreadable or empty."""
    if not read_text(path, flag).strip():
        raise InputError(f"{flag} {path} is empty.")


def read_text(path: Path, flag: str) -> str:
    """A text file that a flag names.

    :raises InputError: missing, unreadable, or not text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{flag} {path}: {error.strerror or error}.") from None
    except UnicodeDecodeError:
        raise InputError(f"{flag} {path} is not a text file in UTF-8.") from None
