"""Check the files, folders and values that go into an image, before Docker is started."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from airflow_ecs_entrypoint.errors import SettingsError
from airflow_ecs_entrypoint.s3_uri import parse_s3_uri
from airflow_ecs_executor.aws.names import REGION
from airflow_ecs_executor.image_check.comparison import repository_of
from airflow_ecs_executor.image_check.facts import LABEL_PREFIX
from airflow_ecs_executor.image_check.reference import ImageReference, parse

from images.console import say
from images.errors import InputError, RequestError, SecretError
from images.labels import OCI_BASE_DIGEST, OCI_BASE_NAME, OCI_TITLE, OCI_VERSION
from images.secrets import (
    private_key_in,
    secret_options,
    secret_variables,
    secrets_in,
    sensitive_setting,
    url_with_login,
)
from images.spec import AIRFLOW_HOME

IGNORED_NAMES = (
    *("__pycache__", ".git", ".hg", ".svn", ".venv", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".DS_Store"),
)
"""Names that are never copied from a folder of DAGs, plugins or configuration."""

_BETTER_WAY = (
    "Give it to the container at run time instead: `secrets` of the ECS task definition (Secrets Manager or SSM), "
    "or for an Airflow option its variant NAME_SECRET or NAME_CMD."
)
_SETTINGS_FILE = re.compile(r"\.env(\..+)?|.+\.env")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?([=/][A-Za-z0-9.+:~-]+)?")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?")
_COMPUTED_LABELS = (OCI_TITLE, OCI_VERSION, OCI_BASE_NAME, OCI_BASE_DIGEST)
_FOLDER = re.compile(r"(/[A-Za-z0-9._@+-]+)+/?")
_OWN_VARIABLES = {
    "AIRFLOW_ECS_DAGS": "--dags",
    "CONTAINER_DAG_PATH": "--container-dag-path",
    "AIRFLOW__CORE__DAGS_FOLDER": "--container-dag-path",
    "S3_URI": "--s3-uri",
    "PLUGINS_S3_URI": "--plugins-s3-uri",
    "CONFIG_S3_URI": "--config-s3-uri",
}
_SYSTEM_FOLDERS = (
    *("/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/root", "/run", "/sbin", "/sys", "/usr"),
    *("/home/airflow/.local", "/opt/airflow-ecs", "/opt/aws-cli"),
    *("/opt/airflow/config", "/opt/airflow/logs", "/opt/airflow/plugins"),
)
_LARGEST_TEXT = 1024 * 1024
"""Bytes; larger files are data, not settings, and are not searched for keys."""


def check_given(value: str | None, flag: str) -> None:
    """Raise RequestError for a value that is given and empty."""
    if value is not None and not value.strip():
        raise RequestError(f"{flag} is empty.", "Is a variable of your script not set?")


def pair(text: str, flag: str) -> tuple[str, str]:
    """Split the ``NAME=VALUE`` of a repeatable flag. Raises RequestError if the name or ``=`` is missing."""
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise RequestError(f"{flag} requires NAME=VALUE, got {name!r}.")
    return name, value


def assignment(text: str, flag: str) -> tuple[str, str]:
    """Split ``NAME=VALUE`` for a Dockerfile. Raises RequestError as `pair`, and for a line break."""
    name, value = pair(text, flag)
    if "\n" in value or "\r" in value:
        raise RequestError(f"{flag} {name}: the value has a line break, which a Dockerfile value cannot have.")
    return name, value


def check_variable_name(name: str, flag: str) -> None:
    """Raise RequestError for what cannot be the name of an environment variable."""
    if not _VARIABLE.fullmatch(name):
        raise RequestError(f"{flag} {name} is not a valid name of an environment variable.")


def check_env(env: Iterable[tuple[str, str]]) -> None:
    """Raise RequestError for a variable that cannot be set, and SecretError, without its value, for a secret."""
    for name, value in env:
        check_variable_name(name, "--env")
        if name == "AIRFLOW_HOME" and value != AIRFLOW_HOME:
            raise RequestError(f"--env AIRFLOW_HOME is always {AIRFLOW_HOME}.", "The image contract fixes it.")
        if name in _OWN_VARIABLES:
            raise RequestError(
                f"--env {name} is set by {_OWN_VARIABLES[name]}.", f"Give {_OWN_VARIABLES[name]} instead."
            )
        if name.startswith("AWS_") and not value:
            raise RequestError(f"--env {name}= is empty, and empty AWS variables break the SDK.", "Leave it out.")
        if sensitive_setting(name, value):
            raise SecretError(
                f"--env {name} looks like a secret; everybody who can pull the image could read it.", _BETTER_WAY
            )


def check_labels(labels: Iterable[tuple[str, str]]) -> None:
    """Raise RequestError for a label that cannot be set, and SecretError, without its value, for a secret."""
    for name, value in labels:
        if not _LABEL.fullmatch(name):
            raise RequestError(
                f"--label {name} is not a valid name of a label.", "Letters, digits, '.', '-', '_' and '/'."
            )
        if name.startswith(LABEL_PREFIX) or name in _COMPUTED_LABELS:
            raise RequestError(f"--label {name}: this label is a verified fact and cannot be set.")
        if sensitive_setting(name, value):
            raise SecretError(
                f"--label {name} looks like a secret; everybody who can pull the image could read it.", _BETTER_WAY
            )


def check_region(region: str) -> None:
    """Raise RequestError for what is not the name of an AWS region; an empty string is none."""
    if region and not re.fullmatch(REGION, region):
        raise RequestError(f"--region {region!r} is not a valid AWS region.", "For example: --region eu-west-1")


def check_platform(platform: str, known: Sequence[str]) -> None:
    """Raise RequestError for a platform that the matrix does not have."""
    if platform not in known:
        raise RequestError(f"Unknown platform {platform!r}.", f"--platform takes: {', '.join(known)}")


def check_s3_uri(uri: str, flag: str) -> None:
    """Raise RequestError for an S3 URI that the container would refuse; an empty string is none."""
    if not uri:
        return
    try:
        parse_s3_uri(flag, uri)
    except SettingsError as error:
        raise RequestError(f"{error}.", f"For example: {flag} s3://my-bucket/dags") from None


def check_repository(name: str, flag: str = "--repository") -> None:
    """Raise RequestError for a name that no tag can be added to."""
    if _reference(name) is None or repository_of(name) != name:
        raise RequestError(
            f"{flag} {name!r} is not a valid repository name.",
            f"Lower case, without a tag. For example: {flag} registry.example.com/airflow-worker",
        )


def check_tag_name(tag: str) -> None:
    """Raise RequestError for what is not a tag alone."""
    found = _reference(f"name:{tag}")
    if found is None or found.tag != tag or found.digest:
        raise RequestError(f"--tag {tag!r} is not a valid tag.", "Without the repository. For example: --tag 1.0")


def check_tag(reference: str) -> None:
    """Raise RequestError for what is not ``repository:tag``."""
    found = _reference(reference)
    if found is None or found.digest:
        raise RequestError(f"--tag {reference!r} is not a valid image name.", "For example: --tag airflow-worker:1.0")
    if repository_of(reference) == reference:
        raise RequestError(f"--tag {reference} has no tag.", f"For example: --tag {reference}:1.0")


def check_base(image: str, digest: str) -> None:
    """Raise RequestError for what is not an image name, not a digest, or for two digests."""
    found = _reference(image)
    if found is None:
        raise RequestError(f"--base {image!r} is not a valid image name.", "For example: --base company/airflow:3.3.2")
    if digest and _reference(f"name@{digest}") is None:
        raise RequestError(
            f"--base-digest {digest!r} is not a valid digest.", "It is sha256: and 64 hexadecimal digits."
        )
    if digest and found.digest:
        raise RequestError("--base has a digest already.", "Leave --base-digest out.")


def _reference(name: str) -> ImageReference | None:
    try:
        return parse(name)
    except ValueError:
        return None


def check_container_path(path: str) -> None:
    """Raise RequestError unless the path is an absolute folder that may be emptied and filled with DAGs."""
    clean, example = os.path.normpath(path), "For example: /opt/airflow/dags"
    if not _FOLDER.fullmatch(path) or clean != path.rstrip("/"):
        raise RequestError(f"--container-dag-path {path!r} is not a plain absolute path.", example)
    if clean in ("/", "/opt", "/opt/airflow", "/home", "/home/airflow", "/tmp", "/var"):
        raise RequestError(f"--container-dag-path {path} is a folder for more than DAGs.", example)
    if any(clean == folder or clean.startswith(folder + "/") for folder in _SYSTEM_FOLDERS):
        raise RequestError(f"--container-dag-path {path} is in a folder that is not for DAGs.", example)


def check_apt_packages(packages: Iterable[str]) -> None:
    """Raise RequestError for names that are not Debian packages: they would be options or shell code for apt-get."""
    for package in packages:
        if not _PACKAGE.fullmatch(package):
            raise RequestError(
                f"--apt-packages {package!r} is not a valid name of a Debian package.",
                "For example: --apt-packages git libpq5",
            )


def check_airflow_cfg(path: Path) -> None:
    """Raise InputError for a malformed airflow.cfg, and SecretError, without the values, for one with secrets."""
    try:
        found = secret_options(read_text(path, "--airflow-cfg"))
    except ValueError as error:
        raise InputError(f"--airflow-cfg {path} is not a configuration file: {error}") from None
    if found:
        raise SecretError(
            f"{path} has secrets: {', '.join(found)}; everybody who can pull the image could read them.", _BETTER_WAY
        )


def check_constraints(path: Path) -> None:
    """Raise InputError for an unusable constraints file, and SecretError for one with a password or token in a URL."""
    check_file(path, "--constraints")
    if url_with_login(read_text(path, "--constraints")):
        raise SecretError(
            f"{path} has a URL with a password or token, and is copied into the image.",
            "Put it in a pip.conf and give that as --pip-config FILE: it is mounted as a build secret only.",
        )


def check_folder(
    path: Path,
    flag: str,
    left_out: Callable[[str], bool] = lambda path: False,
    done_with_it: str = "copied into the image",
) -> None:
    """Raise InputError for a folder that is missing, empty or not readable, and SecretError for a file with a key.

    A file of settings with secrets, such as ``.env``, is only a warning: its values may be those of an example.
    ``left_out`` tells which files, by path below the folder, are not used.
    """
    if not path.is_dir():
        raise InputError(f"{flag} {path} is not a folder.", "Give the folder itself, not a file or a pattern.")
    empty = True
    for file in files_of(path):
        empty = False
        if left_out(file.relative_to(path).as_posix()):
            continue
        if file.is_symlink() and not file.exists():
            raise InputError(f"{file} is a broken link.", "Remove it or restore what it points to.")
        if not file.is_file():
            raise InputError(f"{file} is not a regular file and cannot be copied.", "Remove it.")
        try:
            with file.open("rb") as opened:
                content = opened.read() if file.stat().st_size <= _LARGEST_TEXT else opened.read(1)[:0]
        except OSError as error:
            raise InputError(f"Cannot read {file}: {error.strerror or error}.") from None
        kinds = secrets_in(content) + (("private key",) if private_key_in(content) else ())
        if kinds:
            raise SecretError(f"{file} has a secret ({', '.join(kinds)}) and would be {done_with_it}.", _BETTER_WAY)
        if _SETTINGS_FILE.fullmatch(file.name):
            names = ", ".join(secret_variables(content.decode(errors="replace")))
            if names:
                say(f"warning: {file} seems to have secrets ({names}) and is {done_with_it}. {_BETTER_WAY}")
    if empty:
        raise InputError(f"{flag} {path} has no files.", "Check the path.")


def files_of(folder: Path) -> list[Path]:
    """Return the files that are copied, sorted; links are followed. Raises InputError for links that form a circle."""
    return list(_walk(folder, ()))


def _walk(folder: Path, parents: tuple[Path, ...]) -> Iterator[Path]:
    here = folder.resolve()
    if here in parents:
        raise InputError(f"{folder} is a link to a folder that contains it.", "Remove it.")
    try:
        entries = sorted(entry for entry in folder.iterdir() if entry.name not in IGNORED_NAMES)
    except OSError as error:
        raise InputError(f"Cannot read {folder}: {error.strerror or error}.") from None
    for entry in entries:
        if entry.is_dir():
            yield from _walk(entry, (*parents, here))
        elif entry.suffix != ".pyc":
            yield entry


def check_file(path: Path, flag: str) -> None:
    """Raise InputError for a file that is missing, unreadable or empty."""
    if not read_text(path, flag).strip():
        raise InputError(f"{flag} {path} is empty.")


def read_text(path: Path, flag: str) -> str:
    """Return the text of a file that a flag names. Raises InputError if it is missing, unreadable, or not text."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{flag} {path}: {error.strerror or error}.") from None
    except UnicodeDecodeError:
        raise InputError(f"{flag} {path} is not a text file in UTF-8.") from None
