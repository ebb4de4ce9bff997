"""Push an image of the engine: to Amazon ECR with AWS's login, or to any other registry with docker's own login."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from airflow_ecs_executor.image_check.comparison import repository_of
from airflow_ecs_executor.image_check.errors import RegistryError
from airflow_ecs_executor.image_check.facts import CONTRACT
from airflow_ecs_executor.image_check.reference import ImageReference, has_registry, parse
from airflow_ecs_executor.image_check.remote import RemoteName
from docker.models.images import Image

from images import labels
from images.console import say
from images.diagnose import tag_is_taken
from images.engine import Engine
from images.errors import AwsError, PushError, RequestError
from images.registry import ecr
from images.registry.docker_config import with_logins
from images.registry.logins import RegistryAuth, remote_images, stored_credentials

_LONGEST_TAG = 128
_CONTENT_DIGITS = 12


def target_of(
    image: str, names: tuple[str, ...], content: str, *, to: str = "", tag: str = "", content_tag: bool = False
) -> str:
    """Return the name, ``repository:tag``, under which an image is pushed. Pure.

    ``image`` is its name or id as the user gave it; ``names`` are its names and ``content`` its digest on the engine.
    ``to`` and ``tag`` replace repository and tag of its name; ``content_tag`` adds digits of its digest to the tag.
    Raises RequestError if no registry or no tag is given.
    """
    named = next((name for name in names if _same(name, image)), "")
    if not to and not (named and has_registry(named)):
        raise RequestError(
            f"The name {image} has no registry to push to.",
            "Give --to REPOSITORY, such as 123456789012.dkr.ecr.eu-west-1.amazonaws.com/airflow-worker, "
            "or --stack NAME for the repository of a stack of deploy/template.yaml.",
        )
    chosen = tag or (parse(named).tag if named else "")
    if not chosen:
        raise RequestError(f"The name {image} has no tag.", "Give --tag TAG.")
    return f"{to or repository_of(named)}:{_with_content(chosen, content) if content_tag else chosen}"


def _same(name: str, given: str) -> bool:
    try:
        return parse(name) == parse(given)
    except ValueError:  # <none>:<none>, or an id
        return False


def _with_content(tag: str, content: str) -> str:
    """Return ``TAG-`` and the first digits of a digest: another tag for every content, no longer than a tag may be."""
    digits = content.rpartition(":")[2][:_CONTENT_DIGITS]
    return f"{tag[: _LONGEST_TAG - _CONTENT_DIGITS - 1]}-{digits}"


def publish(engine: Engine, image: Image, name: str, *, create: bool, dry_run: bool) -> str:
    """Push an image, unless the registry has it already, and return its digest; empty if a dry run would push.

    ``create``: create a missing repository in Amazon ECR. Raises PushError if there is no repository, the tag is taken
    and immutable, or the registry refuses; AwsError if Amazon ECR cannot be used.
    """
    reference = parse(name)
    _remark(image)
    mutability: str | None = ""
    if reference.ecr is not None:
        mutability = _mutability(reference, repository_of(name), create=create, dry_run=dry_run)
    there = None if mutability is None else _there(name)
    if there is not None and image.id in there.contents:
        say(f"{name} exists already, with the same content")
        return there.digest
    if there is not None:
        if mutability == ecr.IMMUTABLE:
            raise tag_is_taken(name)
        say(f"note: {name} exists with another content, {there.digest}; the tag moves")
    if dry_run:
        say(f"would push {name}")
        return ""
    return _push(engine, image, name, reference)


def _remark(image: Image) -> None:
    found = image.labels or {}
    if CONTRACT not in found:
        say("note: this image was not built by build.py: its content was not verified")
    if labels.INSECURE in found:
        say(f"WARNING: this image has {found[labels.INSECURE]}: everybody who can pull it can read and use them")


def _mutability(reference: ImageReference, repository: str, *, create: bool, dry_run: bool) -> str | None:
    """Return the ``imageTagMutability`` of the repository, created on request; None if it would be created."""
    found = ecr.find_repository(reference)
    if found or (found is not None and not create):
        return found
    if not create:
        raise PushError(
            f"There is no repository {repository}.",
            "Create it, for example with --create-repository, or correct the name.",
        )
    if dry_run:
        say(f"would create the repository {repository}")
        return None
    made = ecr.create_repository(reference)
    say(f"created the repository {repository}: tags are immutable, images are scanned when they are pushed")
    return made


def _there(name: str) -> RemoteName | None:
    """Return what the registry has under the name; None also if it does not say, as the push will tell."""
    try:
        return remote_images().identify(name)
    except RegistryError:
        return None


def _push(engine: Engine, image: Image, name: str, reference: ImageReference) -> str:
    auth = ecr.log_in(reference) if ecr.is_ecr(reference) else None
    say(f"pushing {name}{f', by {auth.registry}' if auth and auth.registry != reference.registry else ''}")
    with with_logins([auth] if auth else []) as environment:
        digest = push_as(engine, image, name, auth, environment)
    say(f"pushed {name}")
    there = _there(name)
    return there.digest if there is not None else digest


def push_as(engine: Engine, image: Image, name: str, auth: RegistryAuth | None, environment: Mapping[str, str]) -> str:
    """Push an image under a name, ``repository:tag``, and return its digest.

    ``environment`` is what `with_logins` has made, with ``auth`` in it; None: the docker client uses its own login.
    Raises PushError with the registry's answer.
    """
    reference = parse(name)
    if auth and auth.registry != reference.registry:
        name = f"{auth.registry}/{reference.repository}:{reference.tag}"
    with engine.named(image, name):
        return engine.push(name, environment)


def auths_for(names: Iterable[str]) -> dict[str, RegistryAuth]:
    """Return Amazon ECR's logins for these names, by registry. Raises AwsError if neither AWS nor docker has one."""
    references = {reference.registry: reference for reference in map(parse, names)}
    found = {registry: _auth_for(reference) for registry, reference in references.items()}
    return {registry: auth for registry, auth in found.items() if auth}


def _auth_for(reference: ImageReference) -> RegistryAuth | None:
    if not ecr.is_ecr(reference):
        return None
    try:
        return ecr.log_in(reference)  # docker's own may have expired: it is good for twelve hours
    except AwsError:
        if not stored_credentials(reference.registry):
            raise
        return None
