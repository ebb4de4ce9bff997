"""What to do about a refused push or pull, by the words of the docker client, BuildKit or the registry. Pure.

Whichever of them reports a refusal, the words are those of the registry's answer (github.com/opencontainers/
distribution-spec: error codes), of the HTTP status, or of Go's network library.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import NamedTuple

from airflow_ecs_executor.aws.wording import policy_to_change
from airflow_ecs_executor.image_check.reference import DOCKER_HUB, ImageReference, parse

PUBLIC_ECR = "public.ecr.aws"
# docs.aws.amazon.com/AmazonECR/latest/userguide: IAM permissions for pushing an image
_PUSH_ACTIONS = (
    "A push needs ecr:GetAuthorizationToken and, on the repository, ecr:BatchCheckLayerAvailability, "
    "ecr:InitiateLayerUpload, ecr:UploadLayerPart, ecr:CompleteLayerUpload, ecr:PutImage and ecr:BatchGetImage."
)


class _Rule(NamedTuple):
    """A kind of refusal, by its words, and what to do when an image is pushed or pulled.

    ``{host}`` stands for the registry, ``{login}`` for a command that logs in there, and ``{access}`` for how to get
    read access. An empty text: the rule says nothing about it.
    """

    words: str
    push: str
    pull: str


def _both(words: str, advice: str) -> _Rule:
    return _Rule(words, advice, advice)


# Image names and URLs contain words and numbers that say nothing about the refusal.
_NAMES = re.compile(r"https?://\S+|[\w.:-]+(?:/[\w.-]+)+(?::[\w.-]+)?(?:@[\w:]+)?")
_STATUS = r"(?:status(?: code)?|HTTP):?"

# The first matching rule decides: an answer may match several.
_RULES: Sequence[_Rule] = (
    _both(
        r"error (?:getting|storing) credentials|docker-credential-[\w-]+.*not found",
        "The credential helper in docker's config.json (credsStore, credHelpers) fails: correct or remove it.",
    ),
    # docs.aws.amazon.com/AmazonECR/latest/userguide/service-quotas.html; vllm-project/vllm#48065, camunda/keycloak#641
    _Rule(
        r"maximum allowed number of|configured upper limit|quota",
        "The registry's quota is used up: delete images (Amazon ECR: by a lifecycle policy), or have the quota raised.",
        "",
    ),
    _both(
        rf"proxyconnect|proxy authentication required|{_STATUS} 407",
        "The proxy refuses or does not answer: check the engine's proxy (`docker info` shows it) and its NO_PROXY.",
    ),
    _both(
        r"HTTP response to HTTPS client|first record does not look like a TLS handshake",
        "{host} speaks HTTP, not HTTPS: name it in insecure-registries of the engine's daemon.json (for a builder of "
        "its own in buildkitd.toml), or enable HTTPS there.",
    ),
    _both(
        r"certificate has expired or is not yet valid",
        "Set the clock of the engine's machine. If it is right, {host} needs a new certificate.",
    ),
    _both(
        r"certificate is (?:not )?valid for|any IP SANs|legacy Common Name",
        "The certificate is for another name: use the name that it is for.",
    ),
    # docs.docker.com/engine/security/certificates, docs.docker.com/build/buildkit/configure
    _both(
        r"x509:|failed to verify certificate|unknown certificate authority",
        "The engine does not trust the certificate of {host}: put its CA into /etc/docker/certs.d/{host}/ca.crt or "
        "into the machine's trusted certificates; for a builder of its own name it in buildkitd.toml.",
    ),
    _Rule(
        rf"toomanyrequests|too many requests|rate limit|rate exceeded|{_STATUS} 429",
        "The registry throttles: push again in some minutes.",
        "The registry's limit is reached: wait, log in to have a higher one ({login}), or name a copy of the image in "
        "another registry with --base.",
    ),
    _Rule(
        rf"entity too large|{_STATUS} 413",
        "The registry, or a proxy in front of it, refuses a layer of this size: raise its limit (nginx: "
        "client_max_body_size).",
        "",
    ),
    _both(
        r"internal server error|bad gateway|service (?:temporarily )?unavailable|gateway time-?out"
        rf"|{_STATUS} 5\d\d",
        "The registry has a server error: try again later.",
    ),
    _Rule(
        r"time(?:d )?out|deadline exceeded|no such host|server misbehaving|failure in name resolution|\bEOF\b|GOAWAY"
        r"|connection re(?:fused|set)|broken pipe|closed network connection|closed pipe|network is unreachable"
        r"|no route to host|stream error|request canceled|cannot reuse body|blob upload (?:unknown|invalid)"
        r"|unknown blob",
        "Check the registry's name and the engine's way to it (DNS, proxy, firewall), then push again.",
        "Check the engine's way to {host} (DNS, proxy, firewall), then try again, or name a copy of the image in "
        "another registry with --base.",
    ),
    _Rule(
        r"no match for platform",
        "",
        "The image exists only for other platforms: give another --platform, or another --base.",
    ),
    _Rule(
        r"manifest.invalid",
        "The registry may not support attestations or several platforms: push without --sbom and --provenance, or for "
        "one --platform.",
        "",
    ),
    _both(
        r"organization.{0,9} policy", "A policy of the organization denies it: ask the administrator of that policy."
    ),
    _Rule(
        r"no basic auth credentials|unauthorized|authentication required|authorization (?:failed|status)|denied"
        rf"|forbidden|insufficient_scope|token has expired|{_STATUS} 40[13]",
        "Log in as a user who has the permission to push there: {login}.",
        "{access}; or name another with --base.",
    ),
)
_NO_REPOSITORY = re.compile(
    r"name.unknown|repository (?:with name )?\S+ (?:does not exist|not found)|blobs/uploads/?: 404", re.IGNORECASE
)
_DENIED_ACTION = re.compile(r"not authorized to perform:? (ecr(?:-public)?:\w+)")


def lacks_repository(said: str, name: str) -> bool:
    """Return whether a push failed because there is no repository; Amazon ECR creates none, and answers with 404."""
    reference = _reference(name)
    return bool(_NO_REPOSITORY.search(said) or (reference and reference.ecr and _answered(said, HTTPStatus.NOT_FOUND)))


def push_advice(said: str, name: str) -> str:
    """Return what to do about a failed push of ``name``, which may be empty; empty if only the message can tell."""
    reference = _reference(name)
    if action := _DENIED_ACTION.search(said):
        policy = policy_to_change(said)
        return f"{action[1]}: {policy}." if policy else f"Allow {action[1]}. {_PUSH_ACTIONS}"
    if lacks_repository(said, name):
        return "Create the repository; in Amazon ECR `python build.py push --create-repository` does."
    words = _NAMES.sub("", said)
    rule = next((rule for rule in _RULES if rule.push and re.search(rule.words, words, re.IGNORECASE)), None)
    advice = _filled(rule.push, reference) if rule else ""
    if reference is None or reference.ecr is None:
        return advice
    # Clients do not show Amazon ECR's reason (aws/containers-roadmap#2159, CircleCI-Public/aws-ecr-orb#259,
    # docker/build-push-action#1042, serverless/serverless#13116).
    if _answered(said, HTTPStatus.FORBIDDEN):
        return (
            f"{_PUSH_ACTIONS} If all of them are allowed, the repository has as many images as its quota allows, or a "
            f"login that docker has stored has expired: {_login(reference)}."
        )
    if re.search(r"\bEOF\b", said):
        return f"{advice} Amazon ECR breaks off as well where a permission is missing. {_PUSH_ACTIONS}"
    if not advice and _answered(said, HTTPStatus.BAD_REQUEST):
        return (
            "If the tag exists and tags of the repository are immutable, give another one: `python build.py push "
            "--content-tag` makes one of the image's content."
        )
    return advice


def pull_advice(said: str, name: str) -> str:
    """Return what to do about an image that could not be pulled; empty if only the message can tell."""
    words = _NAMES.sub("", said)
    for rule in _RULES:
        if rule.pull and re.search(rule.words, words, re.IGNORECASE):
            return _filled(rule.pull, _reference(name))
    return ""


def _answered(said: str, status: HTTPStatus) -> bool:
    """Return whether the registry's answer has this HTTP status."""
    words = rf"{_STATUS} {status.value}\b|\b{status.value} {status.phrase}"
    return bool(re.search(words, _NAMES.sub("", said), re.IGNORECASE))


def _filled(advice: str, reference: ImageReference | None) -> str:
    host = reference.registry if reference else "the registry"
    access = f"Log in as a user who may read it: {_login(reference)}"
    if host == PUBLIC_ECR:  # docs.aws.amazon.com/AmazonECR/latest/public: a login is good for twelve hours
        access = f"Log out (`docker logout {host}`): an expired login is refused, and public images need none"
    return advice.replace("{host}", host).replace("{access}", access).replace("{login}", _login(reference))


def _login(reference: ImageReference | None) -> str:
    if reference is None:
        return "`docker login` with the name of the registry"
    host = reference.registry
    if host == DOCKER_HUB:
        return "`docker login`"
    if host == PUBLIC_ECR:
        return _by_aws("ecr-public", "us-east-1", host)
    if reference.ecr:
        return _by_aws("ecr", reference.ecr[1], host)
    return f"`docker login {host}`"


def _by_aws(service: str, region: str, host: str) -> str:
    """Return the command of docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html."""
    return f"`aws {service} get-login-password --region {region} | docker login --username AWS --password-stdin {host}`"


def _reference(name: str) -> ImageReference | None:
    try:
        return parse(name)
    except ValueError:
        return None
