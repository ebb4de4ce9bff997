"""The S3 side: one client, listing, downloading one object to one file, reading and deleting one.

botocore is imported here, when S3 is really needed, and boto3 not at all: its resource layer would only cost
start-up time.
"""

from __future__ import annotations

import hashlib
import os
import random
import time
from dataclasses import replace
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, Callable, Iterator, Mapping, TypeVar

from airflow_ecs_entrypoint import __version__
from airflow_ecs_entrypoint.errors import ChangedError, DagsError, SettingsError, UnavailableError
from airflow_ecs_entrypoint.s3_uri import S3Location
from airflow_ecs_entrypoint.sync.error_mapping import Attempt, classify
from airflow_ecs_entrypoint.sync.plan import RemoteObject

_CONNECT_TIMEOUT = 5  # seconds
_READ_TIMEOUT = 20  # seconds between two pieces of an answer, not for the whole of it
_ATTEMPTS = 5
_CHUNK = 256 * 1024  # bytes
_T = TypeVar("_T")


class Cancelled(Exception):
    """The download is no longer wanted."""


class S3:
    """S3 as the entrypoint uses it. Safe to use from many threads.

    Credentials come from the SDK's own chain. AWS_RETRY_MODE and AWS_MAX_ATTEMPTS are respected; otherwise
    requests are tried five times in the standard mode.

    Every method raises `EntrypointError` alone (and `Cancelled`).
    """

    def __init__(self, environ: Mapping[str, str], concurrency: int) -> None:
        attempt = Attempt("connect to", "S3")
        try:
            import botocore.session
            from botocore.config import Config

            retries: dict[str, Any] = {}
            if not environ.get("AWS_RETRY_MODE"):
                retries["mode"] = "standard"
            if not environ.get("AWS_MAX_ATTEMPTS"):
                retries["total_max_attempts"] = _ATTEMPTS
            session = botocore.session.get_session()
            know_services_by_their_folders(session.get_component("data_loader"))
            # S3's few forms of time; the SDK's own parser takes a tenth of all its work to be ready for any.
            session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=moment_of)
            # ECS always sets AWS_REGION, but Python's SDK reads AWS_DEFAULT_REGION only.
            region = session.get_config_variable("region") or environ.get("AWS_REGION")
            self._client = session.create_client(
                "s3",
                region_name=region,
                config=Config(
                    connect_timeout=_CONNECT_TIMEOUT,
                    read_timeout=_READ_TIMEOUT,
                    max_pool_connections=concurrency,
                    retries=retries,
                    user_agent_extra=f"airflow-ecs-entrypoint/{__version__}",
                ),
            )
            # Nothing reads this header here, and not every value of it is a time.
            self._client.meta.events.register_first("before-parse.s3.*", without_expires)
            resolved = self._client.meta.config.retries or {}
            self._attempts = int(resolved.get("total_max_attempts") or _ATTEMPTS)
            self._region = str(region or "")
            self._endpoint = str(self._client.meta.endpoint_url)
        except Exception as error:
            raise classify(error, attempt) from error

    def disconnect(self) -> None:
        """Close idle connections, before a fork: none may be used in two processes."""
        self._client.close()

    def objects(self, location: S3Location, moment: datetime | None = None) -> Iterator[RemoteObject]:
        """Every object under ``location``, folder markers included; those of ``moment``, if one is given.

        A moment needs a bucket with versioning, and means whole seconds, as S3 keeps them.
        """
        if moment is not None:
            yield from self._objects_at(location, moment)
            return
        attempt = self._attempt("list", str(location), "s3:ListBucket", location.bucket)
        try:
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=location.bucket, Prefix=location.path)
            for page in pages:
                for item in page.get("Contents", ()):
                    yield _remote(location, item)
        except Exception as error:
            raise classify(error, attempt) from error

    def _objects_at(self, location: S3Location, moment: datetime) -> Iterator[RemoteObject]:
        """Versions come newest first for each key; the first that is not too new is the one, unless it is a deletion.

        A page holds versions and deletions apart, and a key may go on over several pages, so both are merged by key.
        """
        attempt = self._attempt("list the versions of", str(location), "s3:ListBucketVersions", location.bucket)
        key, newest = "", None
        try:
            pages = self._client.get_paginator("list_object_versions").paginate(
                Bucket=location.bucket, Prefix=location.path
            )
            for page in pages:
                entries = [(item, False) for item in page.get("Versions", ())]
                entries += [(item, True) for item in page.get("DeleteMarkers", ())]
                for item, deleted in sorted(entries, key=lambda entry: entry[0]["Key"]):
                    if item["LastModified"] > moment:
                        if item["VersionId"] == "null":
                            raise DagsError(
                                f"s3://{location.bucket}/{item['Key']} was written when its bucket kept no versions: "
                                "what it was at that time is not known; turn versioning on, and choose a later time"
                            )
                        continue
                    if item["Key"] != key:
                        if newest is not None and not newest[1]:
                            yield _remote(location, newest[0], newest[0]["VersionId"])
                        key, newest = item["Key"], None
                    if newest is None or _rank(item, deleted) > _rank(*newest):
                        newest = (item, deleted)
            if newest is not None and not newest[1]:
                yield _remote(location, newest[0], newest[0]["VersionId"])
        except Exception as error:
            raise classify(error, attempt) from error

    def describe(self, location: S3Location, version_id: str = "") -> tuple[RemoteObject, str]:
        """The one object that ``location`` names, as it is now or in a certain version, and which version that is.

        The version is a version ID, or the ETag in a bucket that keeps no versions.
        """
        what = f"{location} (version {version_id})" if version_id else str(location)
        attempt = self._attempt("look at", what, "s3:GetObject", f"{location.bucket}/{location.path}")
        version = {"VersionId": version_id} if version_id else {}
        if version_id:
            attempt = replace(attempt, action="s3:GetObjectVersion")
        wanted = {"Bucket": location.bucket, "Key": location.path, **version}
        try:
            found = self._client.head_object(**wanted)
        except Exception as error:
            raise classify(self._reason(error, wanted), attempt) from error
        etag = found.get("ETag", "")
        remote = RemoteObject(
            location.bucket, location.path, found["ContentLength"], etag, found["LastModified"], version_id
        )
        return remote, found.get("VersionId") or version_id or etag.strip('"')

    def _reason(self, error: Exception, wanted: Mapping[str, str]) -> Exception:
        """Why HEAD was refused: its answer has no body, and so no code. The same asked by GET says more."""
        if not hasattr(error, "response"):
            return error
        try:
            self._client.get_object(**wanted)["Body"].close()
        except Exception as better:
            return better
        return error

    def download(self, remote: RemoteObject, path: str, cancelled: Callable[[], bool]) -> str:
        """Write the very object that was listed to ``path``, with its modification time; returns its SHA-256, in hex.

        Raises `ChangedError` if the object is no longer the listed one.
        """
        action = "s3:GetObjectVersion" if remote.version_id else "s3:GetObject"
        attempt = self._attempt("download", str(remote), action, f"{remote.bucket}/{remote.key}")
        wanted = {"Bucket": remote.bucket, "Key": remote.key}
        if remote.etag:
            wanted["IfMatch"] = remote.etag
        if remote.version_id:
            wanted["VersionId"] = remote.version_id

        def store(body: Any) -> str:
            try:
                return self._store(body, remote, path, cancelled)
            except OSError as error:
                raise classify(error, self._writing(attempt, error, path)) from error

        digest = self._get(wanted, attempt, store, cancelled)
        modified = remote.modified.timestamp()
        os.utime(path, (modified, modified))
        return digest

    def read(self, location: S3Location, what: str, max_bytes: int, missing: str) -> bytes:
        """The whole of one object. ``what`` it is, and what it means if it is ``missing``, are for people.

        Raises `SettingsError` if it has more than ``max_bytes``.
        """
        attempt = self._attempt("read", f"{what} at {location}", "s3:GetObject", f"{location.bucket}/{location.path}")
        attempt = replace(attempt, missing=missing)

        def whole(body: Any) -> bytes:
            content: bytes = body.read(max_bytes + 1)
            if len(content) > max_bytes:
                raise SettingsError(f"{attempt}: more than {max_bytes} bytes are there")
            content += body.read()  # nothing more, but only the end shows whether all has come
            return content

        return self._get({"Bucket": location.bucket, "Key": location.path}, attempt, whole, lambda: False)

    def delete(self, location: S3Location, what: str) -> None:
        """Delete one object; ``what`` it is, for people."""
        resource = f"{location.bucket}/{location.path}"
        try:
            self._client.delete_object(Bucket=location.bucket, Key=location.path)
        except Exception as error:
            attempt = self._attempt("delete", f"{what} at {location}", "s3:DeleteObject", resource)
            raise classify(error, attempt) from error

    def _get(
        self, wanted: Mapping[str, str], attempt: Attempt, use: Callable[[Any], _T], cancelled: Callable[[], bool]
    ) -> _T:
        """What ``use`` makes of the body of an object.

        A body that breaks off is asked for again (the SDK repeats a request only until its answer begins).
        """
        for number in range(1, self._attempts + 1):
            try:
                body = self._client.get_object(**wanted)["Body"]
            except Exception as error:
                raise classify(error, attempt) from error
            try:
                return use(body)
            except Cancelled:
                raise
            except Exception as error:
                fault = classify(error, attempt)
                if not isinstance(fault, UnavailableError) or number == self._attempts:
                    raise fault from error
                _pause(number, cancelled)
            finally:
                body.close()
        raise AssertionError("unreachable")

    @staticmethod
    def _store(body: Any, remote: RemoteObject, path: str, cancelled: Callable[[], bool]) -> str:
        if cancelled():
            raise Cancelled  # Before the file is made: its folder may be going.
        received = 0
        digest = hashlib.sha256()
        with open(path, "wb") as stream:
            while True:
                if cancelled():
                    raise Cancelled
                chunk = body.read(_CHUNK)
                if not chunk:
                    break
                received += len(chunk)
                digest.update(chunk)
                stream.write(chunk)
        if received != remote.size:
            raise ChangedError(f"cannot download {remote}: {received} bytes came, {remote.size} were listed")
        return digest.hexdigest()

    @staticmethod
    def _writing(attempt: Attempt, error: OSError, path: str) -> Attempt:
        """An error with a number comes from the disk rather than from S3."""
        if error.errno and not isinstance(error, (ConnectionError, TimeoutError)):
            return Attempt("write", f"{attempt.what} to {os.path.dirname(path)}")
        return attempt

    def _attempt(self, doing: str, what: str, action: str, resource: str) -> Attempt:
        return Attempt(doing, what, action, resource, self._region, self._endpoint)


def know_services_by_their_folders(loader: Any) -> None:
    """Spare the SDK the look into the folders of four hundred services, twice, to learn that S3 is one of them.

    That is a fifth of what it takes to make a client, and more where the image's files are not in memory yet.
    """
    names = [name for path in loader.search_paths if os.path.isdir(path) for name in os.listdir(path)]
    loader.list_available_services = lambda type_name: names


def moment_of(text: str) -> datetime:
    """A time as S3 writes it: ``2026-01-31T08:00:00.000Z`` in listings, ``Sat, 31 Jan 2026 08:00:00 GMT`` in headers.

    Other forms, of other S3 servers, are left to the SDK's parser. Raises `ValueError`.
    """
    try:
        if text.endswith("Z"):
            return datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
        return parsedate_to_datetime(text)
    except (OverflowError, TypeError, ValueError):
        from botocore.utils import parse_timestamp

        moment: datetime = parse_timestamp(text)
        return moment


def without_expires(response_dict: Mapping[str, Any], **_: Any) -> None:
    """Leave out the header ``Expires``: S3 stores any string for it (boto/boto3#808)."""
    response_dict["headers"].pop("Expires", None)


def _remote(location: S3Location, item: Mapping[str, Any], version_id: str = "") -> RemoteObject:
    return RemoteObject(
        location.bucket, item["Key"], item["Size"], item.get("ETag", ""), item["LastModified"], version_id
    )


def _rank(item: Mapping[str, Any], deleted: bool) -> tuple[datetime, bool, bool]:
    """Orders the versions of a key. Within one second the newest of all is known; else a deletion counts as later."""
    return item["LastModified"], item["IsLatest"], deleted


def _pause(number: int, cancelled: Callable[[], bool]) -> None:
    """Wait before attempt ``number`` + 1: up to 0.2 s, 0.4 s, 0.8 s …, at random, so that a fleet spreads."""
    until = time.monotonic() + random.uniform(0.1, 0.2) * 2 ** (number - 1)
    while time.monotonic() < until:
        if cancelled():
            raise Cancelled
        time.sleep(0.05)
