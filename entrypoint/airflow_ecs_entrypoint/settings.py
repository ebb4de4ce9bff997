"""Runtime settings: an environment mapping in, one frozen object out. Pure."""

from __future__ import annotations

import os.path
import re
from dataclasses import dataclass
from typing import Iterable, Mapping

from .errors import SettingsError

DAG_MODES = ("s3", "local", "none")
DEFAULT_AIRFLOW_HOME = "/opt/airflow"
DEFAULT_CONCURRENCY = 16
MAX_CONCURRENCY = 64

# fmt: off
# The DAG folder is emptied of whatever is not in S3, so it must not be one of these ...
_SHARED_FOLDERS = frozenset(
    (
        "/", "/boot", "/dev", "/etc", "/home", "/media", "/mnt", "/opt", "/proc", "/root", "/run", "/srv",
        "/sys", "/tmp", "/usr", "/var",
    )
)
# fmt: on
# ... nor anything in these.
_SYSTEM_TREES = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr")

# General purpose buckets, those from before 2018 (upper case, underscore, up to 255 characters) and
# access point aliases: docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")


@dataclass(frozen=True)
class S3Location:
    """A bucket and a prefix, which is empty or ends in ``/``: ``dags`` never means ``dags-old``."""

    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"


@dataclass(frozen=True)
class Source:
    """What is loaded, from where, into which folder. ``setting`` is the environment variable that asked."""

    setting: str
    location: S3Location
    folder: str


@dataclass(frozen=True)
class Settings:
    """The entrypoint's settings, checked.

    ``mode`` is one of `DAG_MODES`; ``airflow_home`` and ``dag_folder`` are absolute, normalised paths;
    ``concurrency`` is the number of parallel downloads, 1 to `MAX_CONCURRENCY`; ``sources`` is what has to
    be loaded, DAGs first.
    """

    mode: str
    airflow_home: str
    dag_folder: str
    concurrency: int
    sources: tuple[Source, ...]

    @property
    def lacks_dags(self) -> bool:
        """Whether DAGs are to come from S3 and nobody has said from where."""
        return self.mode == "s3" and not any(source.setting == "S3_URI" for source in self.sources)

    @property
    def custom_dag_folder(self) -> bool:
        """Whether Airflow has to be told where its DAG folder is."""
        return self.dag_folder != os.path.join(self.airflow_home, "dags")


def read(environ: Mapping[str, str], kept: Iterable[str] = (), python: str = "/usr") -> Settings:
    """Check the settings in ``environ``; an empty value counts as unset.

    ``kept`` are folders, such as the user's home, that neither are a DAG folder nor lie in one; ``python`` is
    the Python environment, which also has no DAG folder inside.

    Raises `SettingsError`, which names the variable and what it takes, but does not repeat an ``S3_URI``.
    """
    mode = environ.get("AIRFLOW_ECS_DAGS") or "none"
    if mode not in DAG_MODES:
        raise SettingsError(f"AIRFLOW_ECS_DAGS must be one of {', '.join(DAG_MODES)}: change it or unset it")
    home = _absolute("AIRFLOW_HOME", environ.get("AIRFLOW_HOME") or DEFAULT_AIRFLOW_HOME)
    dag_folder = _dag_folder(
        environ.get("CONTAINER_DAG_PATH") or os.path.join(home, "dags"),
        kept=(home, python, *kept),
        trees=(python, *_SYSTEM_TREES),
    )
    folders = {
        "S3_URI": dag_folder,
        "PLUGINS_S3_URI": os.path.join(home, "plugins"),
        "CONFIG_S3_URI": os.path.join(home, "config"),
    }
    sources = tuple(
        Source(setting, parse_s3_uri(setting, environ[setting]), folder)
        for setting, folder in folders.items()
        if environ.get(setting)
    )
    _refuse_overlap(sources)
    return Settings(mode, home, dag_folder, _concurrency(environ.get("DAGS_CONCURRENCY") or ""), sources)


def parse_s3_uri(setting: str, value: str) -> S3Location:
    """``s3://bucket/prefix`` (the prefix may be missing) as an `S3Location`.

    Raises `SettingsError` naming ``setting`` and the reason. The value itself is not repeated: a URL pasted
    with a signature or a password must not reach a log.
    """

    def refuse(reason: str) -> SettingsError:
        return SettingsError(f"{setting} {reason}: give it as s3://bucket/prefix")

    scheme, separator, rest = value.strip().partition("://")
    if not separator or scheme.lower() != "s3":
        raise refuse("does not begin with s3://")
    bucket, _, prefix = rest.partition("/")
    if "?" in rest or "#" in rest:
        raise refuse("has a query string or a fragment")
    if "@" in bucket:
        raise refuse("has a user or password before the bucket")
    if bucket.startswith("arn:"):
        raise refuse("names an ARN, but needs a bucket or an access point alias")
    if not _BUCKET.fullmatch(bucket):
        raise refuse("has no valid bucket name")
    if not prefix.isprintable() or "\\" in prefix:
        raise refuse("has a control character or a backslash in its prefix")
    prefix = prefix[:-1] if prefix.endswith("/") else prefix
    if not prefix:
        return S3Location(bucket, "")
    if any(part in ("", ".", "..") for part in prefix.split("/")):
        raise refuse("has an empty, '.' or '..' part in its prefix")
    return S3Location(bucket, prefix + "/")


def _absolute(setting: str, value: str) -> str:
    if not value.startswith("/") or not value.isprintable():
        raise SettingsError(f"{setting} must be an absolute path, such as {DEFAULT_AIRFLOW_HOME}")
    return "/" + os.path.normpath(value).lstrip("/")


def _dag_folder(value: str, kept: Iterable[str], trees: Iterable[str]) -> str:
    folder = _absolute("CONTAINER_DAG_PATH", value)
    in_system = any(_contains(tree, folder) for tree in trees)
    if folder in _SHARED_FOLDERS or in_system or any(_contains(folder, other) for other in kept):
        raise SettingsError(
            f"CONTAINER_DAG_PATH must not be {folder}: what is not in S3 would be deleted from it; "
            f"give a folder of its own, such as {DEFAULT_AIRFLOW_HOME}/dags"
        )
    return folder


def _refuse_overlap(sources: tuple[Source, ...]) -> None:
    for one in sources:
        for other in sources:
            if one is not other and _contains(one.folder, other.folder):
                raise SettingsError(
                    f"{other.setting} would be loaded into {other.folder}, inside {one.folder} of "
                    f"{one.setting}: change CONTAINER_DAG_PATH so that each has a folder of its own"
                )


def _contains(folder: str, path: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _concurrency(value: str) -> int:
    if not value:
        return DEFAULT_CONCURRENCY
    # int() would also take "1_6" and other scripts' digits.
    number = int(value) if re.fullmatch(r"[0-9]{1,3}", value.strip()) else 0
    if not 1 <= number <= MAX_CONCURRENCY:
        raise SettingsError(f"DAGS_CONCURRENCY must be a whole number from 1 to {MAX_CONCURRENCY}")
    return number
