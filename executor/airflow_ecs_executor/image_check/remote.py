"""Looks images up in registries of all kinds, within a time limit, and compares them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Mapping, Protocol, TypeVar

from airflow_ecs_executor.aws.errors import classify
from airflow_ecs_executor.aws.task_definition import Platform
from airflow_ecs_executor.image_check.comparison import ImageReport, Versions, compare, lacks_platform
from airflow_ecs_executor.image_check.errors import NoSuchPlatformError, RegistryError
from airflow_ecs_executor.image_check.facts import facts_of
from airflow_ecs_executor.image_check.manifest import (
    choose,
    config_digest,
    digest_of,
    document_in,
    is_index,
    platforms_of,
)
from airflow_ecs_executor.image_check.reference import ImageNameError, ImageReference, parse

if TYPE_CHECKING:
    from airflow_ecs_executor.image_check.registry import Credentials

T = TypeVar("T")
TIMEOUT = 10.0
"""Seconds for one look-up, with all its requests."""


@dataclass(frozen=True)
class RemoteImage:
    """An image in its registry.

    ``config`` is its configuration (OCI image specification, config.md); ``digests`` are those by which ECS may call
    it: of the manifest, and of the index if there is one.
    """

    reference: ImageReference
    config: Mapping[str, Any]
    digests: frozenset[str]


@dataclass(frozen=True)
class RemoteName:
    """What a registry has under a name.

    ``digest`` is that of the manifest, or of the index; ``contents`` are that and those of the configuration, by either
    of which an engine knows an image with the same content; ``platforms`` are those of an index, else empty.
    """

    digest: str
    contents: frozenset[str]
    platforms: tuple[str, ...] = ()


class _Source(Protocol):
    """A registry, by whichever API it is read."""

    def manifest(self, version: str) -> bytes: ...

    def blob(self, digest: str) -> bytes: ...


class Images:
    """Looks images up. Safe to use from several threads."""

    def __init__(
        self,
        ecr: Callable[[str], Any],
        credentials: Callable[[str], Credentials | None] | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        """Look up images with these credentials.

        ``ecr`` makes a boto3 client of Amazon ECR for a region. ``credentials`` finds the login to another registry by
        its host; None if these are to be asked anonymously. ``timeout``: seconds for one look-up.
        """
        self._ecr = ecr
        self._credentials = credentials
        self._timeout = timeout

    def look_up(self, name: str, platform: Platform | None) -> RemoteImage:
        """Find an image by name; of several, the one for ``platform`` (None: any).

        Raises ImageNameError if the name is not valid, and RegistryError.
        """
        reference = parse(name)
        return self._in_time(reference, lambda source: _resolve(source, reference, platform))

    def identify(self, name: str) -> RemoteName:
        """Find what a name stands for now. Raises as `look_up` does, NoSuchImageError where there is no such image."""
        reference = parse(name)
        return self._in_time(reference, lambda source: _identify(source, reference))

    def _in_time(self, reference: ImageReference, ask: Callable[[_Source], T]) -> T:
        outcome: list[Any] = []

        def work() -> None:
            try:
                outcome.append(self._ask(reference, ask))
            except BaseException as error:  # noqa: BLE001 - the thread that waits raises it
                outcome.append(error)

        # In a thread, because the resolution of a host name, for example, has no time limit.
        thread = threading.Thread(target=work, name="airflow-ecs-registry", daemon=True)
        thread.start()
        thread.join(self._timeout)
        if not outcome:
            raise RegistryError(
                f"{reference.registry} did not answer within {self._timeout:g} s: check its name, and the network "
                "route to it"
            )
        if isinstance(outcome[0], BaseException):
            raise outcome[0]
        found: T = outcome[0]
        return found

    def _ask(self, reference: ImageReference, ask: Callable[[_Source], T]) -> T:
        # Here, because most processes look no image up.
        from airflow_ecs_executor.image_check.ecr import EcrRegistry
        from airflow_ecs_executor.image_check.http import Http
        from airflow_ecs_executor.image_check.registry import Registry

        http = Http(self._timeout)
        try:
            private = reference.ecr
            if private is not None:
                return ask(EcrRegistry(http, reference, self._client(private[1])))
            return ask(Registry(http, reference, self._credentials))
        finally:
            http.close()

    def _client(self, region: str) -> Any:
        try:
            return self._ecr(region)
        except Exception as error:  # noqa: BLE001 - boto3's errors, Airflow's, or a defect, which classify logs
            raise RegistryError(f"no client of Amazon ECR can be created ({classify(error).reason})") from None


def _resolve(source: _Source, reference: ImageReference, platform: Platform | None) -> RemoteImage:
    """From a name to a configuration: by the manifest, or by the index and the manifest that it has for a platform."""
    version = reference.version
    content = source.manifest(version)
    document = document_in(content, reference.digest, version)
    digests = {digest_of(content)}
    if is_index(document):
        chosen = choose(document, platform)
        document = document_in(source.manifest(chosen), chosen, chosen)
        digests.add(chosen)
    wanted = config_digest(document, f"{reference.repository}:{version}")
    return RemoteImage(reference, document_in(source.blob(wanted), wanted, wanted), frozenset(digests))


def _identify(source: _Source, reference: ImageReference) -> RemoteName:
    version = reference.version
    content = source.manifest(version)
    document = document_in(content, reference.digest, version)
    digest = digest_of(content)
    if is_index(document):
        return RemoteName(digest, frozenset({digest}), tuple(platforms_of(document)))
    config = config_digest(document, f"{reference.repository}:{version}")
    return RemoteName(digest, frozenset({digest, config}))


def check_image(images: Images, name: str, versions: Versions, platform: Platform | None) -> ImageReport:
    """Look up an image in its registry, and compare it. If that is not possible, the report says why."""
    try:
        remote = images.look_up(name, platform)
    except NoSuchPlatformError as error:
        assert platform is not None
        return lacks_platform(name, platform, error.platforms)
    except RegistryError as error:
        return ImageReport(name, error=str(error), action=error.action)
    except ImageNameError as error:
        return ImageReport(name, error=str(error))
    facts = facts_of(remote.config, remote.reference.tag)
    return compare(name, facts, remote.digests, versions, platform)
