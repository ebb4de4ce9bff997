"""Runtime settings, read from the environment. No I/O."""

from __future__ import annotations

import os.path
import re
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Iterable, Mapping

from airflow_ecs_entrypoint.errors import SettingsError
from airflow_ecs_entrypoint.s3_uri import S3Location, parse_s3_uri

DAG_MODES = ("s3", "local", "none")
STARTS = ("fast", "plain")
DEFAULT_AIRFLOW_HOME = "/opt/airflow"

# fmt: off
# Files that are not in S3 are deleted from the DAG folder, so it must not be one of these ...
_SHARED_FOLDERS = frozenset(
    (
        "/", "/boot", "/dev", "/etc", "/home", "/media", "/mnt", "/opt", "/proc", "/root", "/run", "/srv",
        "/sys", "/tmp", "/usr", "/var",
    )
)
# fmt: on
# ... nor inside one of these.
_SYSTEM_TREES = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr")

_AWS_CLI = "/opt/aws-cli"

# Opaque, at most 1,024 bytes: docs.aws.amazon.com/AmazonS3/latest/userguide/versioning-workflows.html
_VERSION_ID = re.compile(r"[A-Za-z0-9._~+/=-]{1,1024}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d[Zz]")


@dataclass(frozen=True)
class Number:
    """A setting that is a whole number from ``lowest`` to ``highest``."""

    name: str
    default: int
    lowest: int
    highest: int

    def read(self, environ: Mapping[str, str]) -> int:
        """Return the number in ``environ``, or the default. Raises `SettingsError`."""
        value = (environ.get(self.name) or "").strip()
        if not value:
            return self.default
        # int() would also accept "1_6" and the digits of other scripts.
        number = int(value) if re.fullmatch(r"[0-9]{1,9}", value) else self.lowest - 1
        if not self.lowest <= number <= self.highest:
            raise SettingsError(f"{self.name} must be a whole number from {self.lowest} to {self.highest}")
        return number


CONCURRENCY = Number("DAGS_CONCURRENCY", 32, 1, 64)
TIMEOUT = Number("DAGS_TIMEOUT", 300, 1, 7200)
MAX_MEBIBYTES = Number("DAGS_MAX_MB", 4096, 1, 1_000_000)


@dataclass(frozen=True)
class Source:
    """A location in S3 and the folder into which it is synced."""

    setting: str
    """The environment variable that names the location."""
    location: S3Location
    folder: str
    version_id: str = ""
    """The version to which an archive is pinned."""
    moment: datetime | None = None
    """The time to which the location is pinned: the bucket's content at that time is used."""
    exclude: tuple[str, ...] = ()
    """The patterns of files that are skipped."""


@dataclass(frozen=True)
class Settings:
    """The validated settings of the entrypoint. Paths are absolute and normalised."""

    mode: str
    """One of `DAG_MODES`."""
    start: str
    """One of `STARTS`."""
    airflow_home: str
    dag_folder: str
    concurrency: int
    """The number of parallel downloads."""
    timeout: int
    """The limit of the whole sync, in seconds."""
    max_bytes: int
    """The limit of the files of each source, in bytes."""
    sources: tuple[Source, ...]
    """What is synced, DAGs first."""

    @property
    def lacks_dags(self) -> bool:
        """Whether DAGs are expected from S3, but ``S3_URI`` is not set."""
        return self.mode == "s3" and not any(source.setting == "S3_URI" for source in self.sources)

    @property
    def custom_dag_folder(self) -> bool:
        """Whether the DAG folder differs from Airflow's default."""
        return self.dag_folder != os.path.join(self.airflow_home, "dags")


def read(environ: Mapping[str, str], kept: Iterable[str] = (), python: str = "/usr") -> Settings:
    """Read and validate the settings in ``environ``. An empty value counts as unset.

    The folders in ``kept``, such as the user's home, neither are a DAG folder nor lie in one; ``python`` is the Python
    environment, which must not contain one. The message of a SettingsError does not repeat an ``S3_URI``.
    """
    home = _absolute("AIRFLOW_HOME", environ.get("AIRFLOW_HOME") or DEFAULT_AIRFLOW_HOME)
    dag_folder = _dag_folder(
        environ.get("CONTAINER_DAG_PATH") or os.path.join(home, "dags"),
        kept=(home, python, os.path.join(home, "logs"), *kept),
        trees=(python, _AWS_CLI, *_SYSTEM_TREES),
    )
    folders = {
        "S3_URI": dag_folder,
        "PLUGINS_S3_URI": os.path.join(home, "plugins"),
        "CONFIG_S3_URI": os.path.join(home, "config"),
    }
    exclude = _patterns(environ.get("DAGS_EXCLUDE") or "")
    sources = tuple(
        _source(setting, environ, folder, exclude if setting == "S3_URI" else ())
        for setting, folder in folders.items()
        if environ.get(setting)
    )
    _refuse_overlap(sources)
    return Settings(
        mode=_choice("AIRFLOW_ECS_DAGS", environ, DAG_MODES, "none"),
        start=_start(environ),
        airflow_home=home,
        dag_folder=dag_folder,
        concurrency=CONCURRENCY.read(environ),
        timeout=TIMEOUT.read(environ),
        max_bytes=MAX_MEBIBYTES.read(environ) * 1024 * 1024,
        sources=sources,
    )


def _start(environ: Mapping[str, str]) -> str:
    chosen = _choice("AIRFLOW_ECS_START", environ, STARTS, "fast")
    # With this variable, Airflow patches the standard library by gevent before anything else imports it.
    return "plain" if environ.get("_AIRFLOW_PATCH_GEVENT") else chosen


def _source(setting: str, environ: Mapping[str, str], folder: str, exclude: tuple[str, ...]) -> Source:
    location = parse_s3_uri(setting, environ[setting])
    name = setting.replace("_URI", "_VERSION")  # S3_VERSION, PLUGINS_S3_VERSION, CONFIG_S3_VERSION
    value = (environ.get(name) or "").strip()
    if not value:
        return Source(setting, location, folder, exclude=exclude)
    if _MOMENT.fullmatch(value):
        try:
            moment = datetime.strptime(value.upper(), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
        except ValueError:
            raise SettingsError(f"{name} is not a valid time: give it in UTC, such as 2026-01-31T08:00:00Z") from None
        if moment > datetime.now(timezone.utc):
            raise SettingsError(f"{name} is in the future: give a time that has passed")
        return Source(setting, location, folder, moment=moment, exclude=exclude)
    if not location.archive:
        raise SettingsError(
            f"{name} must be a time in UTC, such as 2026-01-31T08:00:00Z, because {setting} is a prefix; "
            "only an archive has a version ID"
        )
    if not _VERSION_ID.fullmatch(value):
        raise SettingsError(f"{name} must be a version ID of S3, or a time in UTC, such as 2026-01-31T08:00:00Z")
    return Source(setting, location, folder, version_id=value, exclude=exclude)


def _choice(name: str, environ: Mapping[str, str], choices: tuple[str, ...], default: str) -> str:
    value = environ.get(name) or default
    if value not in choices:
        raise SettingsError(f"{name} must be one of {', '.join(choices)}: change it or unset it")
    return value


def _patterns(value: str) -> tuple[str, ...]:
    """Split patterns at commas and line breaks."""
    return tuple(pattern.strip() for pattern in re.split(r"[,\n]", value) if pattern.strip())


def _absolute(setting: str, value: str) -> str:
    if not value.startswith("/") or not value.isprintable():
        raise SettingsError(f"{setting} must be an absolute path, such as {DEFAULT_AIRFLOW_HOME}")
    return "/" + os.path.normpath(value).lstrip("/")


def _dag_folder(value: str, kept: Iterable[str], trees: Iterable[str]) -> str:
    folder = _absolute("CONTAINER_DAG_PATH", value)
    in_system = any(contains(tree, folder) for tree in trees)
    if folder in _SHARED_FOLDERS or in_system or any(contains(folder, other) for other in kept):
        raise SettingsError(
            f"CONTAINER_DAG_PATH must not be {folder}: files that are not in S3 would be deleted from it; "
            f"give a folder of its own, such as {DEFAULT_AIRFLOW_HOME}/dags"
        )
    return folder


def _refuse_overlap(sources: tuple[Source, ...]) -> None:
    for one in sources:
        for other in sources:
            if one is not other and contains(one.folder, other.folder):
                raise SettingsError(
                    f"{other.setting} would be synced into {other.folder}, inside {one.folder} of "
                    f"{one.setting}: change CONTAINER_DAG_PATH so that each has a folder of its own"
                )


def contains(folder: str, path: str) -> bool:
    """Return whether ``path`` is ``folder`` or lies in it. Both must be absolute."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def with_real_paths(folders: Iterable[str]) -> set[str]:
    """Return the folders as given and with symbolic links resolved."""
    return {name for folder in folders for name in (folder, os.path.realpath(folder))}


def leads_into(path: str, folders: Iterable[str]) -> bool:
    """Return whether ``path``, with or without its links resolved, is in one of the folders; see `with_real_paths`."""
    whole = os.path.abspath(path)
    return any(contains(folder, place) for folder in folders for place in (whole, os.path.realpath(whole)))
