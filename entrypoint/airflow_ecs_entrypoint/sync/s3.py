"""Access to S3: listing objects, and downloading, reading and deleting one.

botocore is imported here, so that only containers that use S3 import it. boto3 is not imported, because its resource
layer would only make the start slower.
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
from airflow_ecs_entrypoint.sync.error_mapping import Operation, classify
from airflow_ecs_entrypoint.sync.plan import RemoteObject

_CONNECT_TIMEOUT = 5  # seconds
_READ_TIMEOUT = 20  # seconds between two parts of a response
_ATTEMPTS = 5
_CHUNK = 256 * 1024  # bytes
_T = TypeVar("_T")


class CancelledError(Exception):
    """The download was cancelled."""


class S3:
    """A thread-safe client of S3.

    Credentials come from the SDK's own chain. AWS_RETRY_MODE and AWS_MAX_ATTEMPTS are respected. By default, the SDK
    tries a request up to five times in the standard mode.

    Methods raise no exceptions but `EntrypointError` and `CancelledError`.
    """

    def __init__(self, environ: Mapping[str, str], concurrency: int) -> None:
        operation = Operation("connect to", "S3")
        try:
            import botocore.session
            from botocore.config import Config

            retries: dict[str, Any] = {}
            if not environ.get("AWS_RETRY_MODE"):
                retries["mode"] = "standard"
            if not environ.get("AWS_MAX_ATTEMPTS"):
                retries["total_max_attempts"] = _ATTEMPTS
            session = botocore.session.get_session()
            list_services_by_folder_names(session.get_component("data_loader"))
            # The SDK's own parser accepts many formats, which takes a tenth of the CPU time of a sync.
            session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=parse_time)
            # ECS sets AWS_REGION, but botocore reads only AWS_DEFAULT_REGION.
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
            # The header Expires is not used here, and its value may be invalid.
            self._client.meta.events.register_first("before-parse.s3.*", remove_expires)
            resolved = self._client.meta.config.retries or {}
            self._attempts = int(resolved.get("total_max_attempts") or _ATTEMPTS)
            self._region = str(region or "")
            self._endpoint = str(self._client.meta.endpoint_url)
        except Exception as error:
            raise classify(error, operation) from error

    def disconnect(self) -> None:
        """Close idle connections before a fork, because a connection must not be used by two processes."""
        self._client.close()

    def objects(self, location: S3Location, moment: datetime | None = None) -> Iterator[RemoteObject]:
        """Yield all objects below ``location``, including folder markers, as of now or of ``moment``.

        A moment requires a bucket with versioning. S3 stores times in whole seconds.
        """
        if moment is not None:
            yield from self._objects_at(location, moment)
            return
        operation = self._operation("list", str(location), "s3:ListBucket", location.bucket)
        try:
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=location.bucket, Prefix=location.path)
            for page in pages:
                for item in page.get("Contents", ()):
                    yield _remote(location, item)
        except Exception as error:
            raise classify(error, operation) from error

    def _objects_at(self, location: S3Location, moment: datetime) -> Iterator[RemoteObject]:
        """Yield the objects as of ``moment``.

        For each key, S3 lists the newest version first. The first one that is not too new is yielded, unless it is a
        deletion. A page lists versions and deletions separately, and a key may continue on the next page, so both are
        merged by key.
        """
        operation = self._operation("list the versions of", str(location), "s3:ListBucketVersions", location.bucket)
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
                                "its content at that time is unknown; enable versioning and choose a later time"
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
            raise classify(error, operation) from error

    def describe(self, location: S3Location, version_id: str = "") -> tuple[RemoteObject, str]:
        """Return one object, in its current or a given version, and the name of that version.

        The name is the version ID, or the ETag if the bucket has no versioning.
        """
        what = f"{location} (version {version_id})" if version_id else str(location)
        operation = self._operation("access", what, "s3:GetObject", f"{location.bucket}/{location.path}")
        version = {"VersionId": version_id} if version_id else {}
        if version_id:
            operation = replace(operation, action="s3:GetObjectVersion")
        wanted = {"Bucket": location.bucket, "Key": location.path, **version}
        try:
            found = self._client.head_object(**wanted)
        except Exception as error:
            raise classify(self._reason(error, wanted), operation) from error
        etag = found.get("ETag", "")
        remote = RemoteObject(
            location.bucket, location.path, found["ContentLength"], etag, found["LastModified"], version_id
        )
        return remote, found.get("VersionId") or version_id or etag.strip('"')

    def _reason(self, error: Exception, wanted: Mapping[str, str]) -> Exception:
        """Return the reason for which HEAD was refused. Its response has no body, unlike that of GET."""
        if not hasattr(error, "response"):
            return error
        try:
            self._client.get_object(**wanted)["Body"].close()
        except Exception as better:  # noqa: BLE001 - the caller classifies it
            return better
        return error

    def download(self, remote: RemoteObject, path: str, cancelled: Callable[[], bool]) -> str:
        """Download the object as it was listed to ``path``, with its modification time, and return its SHA-256.

        Raises ChangedError if the object is no longer the listed one.
        """
        action = "s3:GetObjectVersion" if remote.version_id else "s3:GetObject"
        operation = self._operation("download", str(remote), action, f"{remote.bucket}/{remote.key}")
        wanted = {"Bucket": remote.bucket, "Key": remote.key}
        if remote.etag:
            wanted["IfMatch"] = remote.etag
        if remote.version_id:
            wanted["VersionId"] = remote.version_id

        def store(body: Any) -> str:
            try:
                return self._store(body, remote, path, cancelled)
            except OSError as error:
                raise classify(error, self._writing(operation, error, path)) from error

        digest = self._get(wanted, operation, store, cancelled)
        modified = remote.modified.timestamp()
        os.utime(path, (modified, modified))
        return digest

    def read(self, location: S3Location, what: str, max_bytes: int, missing: str) -> bytes:
        """Return the content of one object. Raises SettingsError if it has more than ``max_bytes``.

        In messages, ``what`` is its name, and ``missing`` what it means if the object does not exist.
        """
        operation = self._operation(
            "read", f"{what} at {location}", "s3:GetObject", f"{location.bucket}/{location.path}"
        )
        operation = replace(operation, missing=missing)

        def whole(body: Any) -> bytes:
            content: bytes = body.read(max_bytes + 1)
            if len(content) > max_bytes:
                raise SettingsError(f"{operation}: it has more than {max_bytes} bytes")
            content += body.read()  # empty, but only the end shows that the content is complete
            return content

        return self._get({"Bucket": location.bucket, "Key": location.path}, operation, whole, lambda: False)

    def delete(self, location: S3Location, what: str) -> None:
        """Delete one object. ``what`` is its name in messages."""
        resource = f"{location.bucket}/{location.path}"
        try:
            self._client.delete_object(Bucket=location.bucket, Key=location.path)
        except Exception as error:
            operation = self._operation("delete", f"{what} at {location}", "s3:DeleteObject", resource)
            raise classify(error, operation) from error

    def _get(
        self, wanted: Mapping[str, str], operation: Operation, use: Callable[[Any], _T], cancelled: Callable[[], bool]
    ) -> _T:
        """Return the result of ``use``, which gets the body of an object.

        The request is repeated if the connection is closed within the body. The SDK repeats a request only until its
        response begins.
        """
        for number in range(1, self._attempts + 1):
            try:
                body = self._client.get_object(**wanted)["Body"]
            except Exception as error:
                raise classify(error, operation) from error
            try:
                return use(body)
            except CancelledError:
                raise
            except Exception as error:
                mapped = classify(error, operation)
                if not isinstance(mapped, UnavailableError) or number == self._attempts:
                    raise mapped from error
                _pause(number, cancelled)
            finally:
                body.close()
        raise AssertionError("unreachable")

    @staticmethod
    def _store(body: Any, remote: RemoteObject, path: str, cancelled: Callable[[], bool]) -> str:
        if cancelled():
            raise CancelledError  # before the file is created, because its folder may be removed at this moment
        received = 0
        digest = hashlib.sha256()
        with open(path, "wb") as stream:
            while True:
                if cancelled():
                    raise CancelledError
                chunk = body.read(_CHUNK)
                if not chunk:
                    break
                received += len(chunk)
                digest.update(chunk)
                stream.write(chunk)
        if received != remote.size:
            raise ChangedError(f"cannot download {remote}: received {received} bytes, expected {remote.size}")
        return digest.hexdigest()

    @staticmethod
    def _writing(operation: Operation, error: OSError, path: str) -> Operation:
        """Return the operation that failed: an error with a number comes from the disk, not from S3."""
        if error.errno and not isinstance(error, (ConnectionError, TimeoutError)):
            return Operation("write", f"{operation.what} to {os.path.dirname(path)}")
        return operation

    def _operation(self, doing: str, what: str, action: str, resource: str) -> Operation:
        return Operation(doing, what, action, resource, self._region, self._endpoint)


def list_services_by_folder_names(loader: Any) -> None:
    """Let the SDK list its services by their folders' names, without the content of four hundred folders.

    The SDK lists them twice to verify that S3 exists. This takes a fifth of the time in which a client is created, and
    more if the files of the image are not cached.
    """
    names = [name for path in loader.search_paths if os.path.isdir(path) for name in os.listdir(path)]
    loader.list_available_services = lambda type_name: names


def parse_time(text: str) -> datetime:
    """Parse a time of S3: ``2026-01-31T08:00:00.000Z`` in listings, ``Sat, 31 Jan 2026 08:00:00 GMT`` in headers.

    Other formats, of other S3 servers, are parsed by the SDK. Raises `ValueError`.
    """
    try:
        if text.endswith("Z"):
            return datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
        return parsedate_to_datetime(text)
    except (OverflowError, TypeError, ValueError):
        from botocore.utils import parse_timestamp

        moment: datetime = parse_timestamp(text)
        return moment


def remove_expires(response_dict: Mapping[str, Any], **_: Any) -> None:
    """Remove the header ``Expires``, for which S3 stores any string (boto/boto3#808)."""
    response_dict["headers"].pop("Expires", None)


def _remote(location: S3Location, item: Mapping[str, Any], version_id: str = "") -> RemoteObject:
    return RemoteObject(
        location.bucket, item["Key"], item["Size"], item.get("ETag", ""), item["LastModified"], version_id
    )


def _rank(item: Mapping[str, Any], deleted: bool) -> tuple[datetime, bool, bool]:
    """Return the sort key of a version. Within a second, the latest version comes last, then deletions."""
    return item["LastModified"], item["IsLatest"], deleted


def _pause(number: int, cancelled: Callable[[], bool]) -> None:
    """Wait before attempt ``number`` + 1: up to 0.2 s, 0.4 s, 0.8 s …, with jitter."""
    until = time.monotonic() + random.uniform(0.1, 0.2) * 2 ** (number - 1)
    while time.monotonic() < until:
        if cancelled():
            raise CancelledError
        time.sleep(0.05)
