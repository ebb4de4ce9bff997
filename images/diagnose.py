"""From what Buildx printed to one clear error. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from images.errors import BaseImageError, BuildError, BuildToolError, BuildxError, DiskFullError, EngineError, PushError

# What the build steps of images/steps print for the person who builds.
_STEP_ERROR = re.compile(r"airflow-ecs-build: error: (.*)")
_NO_SPACE = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)
_NO_ENGINE = re.compile(
    r"cannot connect to the docker daemon|is the docker daemon running|permission denied while trying to connect",
    re.IGNORECASE,
)
_NO_BUILDX = re.compile(r"'buildx' is not a docker command|unknown command: docker buildx|unknown shorthand flag")
_BASE = re.compile(
    r"failed to resolve source metadata|failed to do request|pull access denied|"
    r"(?:load metadata|resolve image config) .*(?:not found|denied)|manifest unknown",
    re.IGNORECASE,
)
_BASE_NAME = re.compile(r"(?:failed to resolve source metadata|load metadata) for (\S+?):?(?:\s|$)")
_BASE_REASON = re.compile(r"failed to resolve source metadata for \S+: (.*)")
_PUSH = re.compile(r"failed to push (\S+?):? |push access denied", re.IGNORECASE)
_IMMUTABLE = re.compile(r"immutable|cannot be overwritten", re.IGNORECASE)
_NO_REPOSITORY = re.compile(r"name unknown|repository (?:with name )?\S+ (?:does not exist|not found)", re.IGNORECASE)
_DENIED_ACTION = re.compile(r"not authorized to perform:? (ecr(?:-public)?:\w+)")
_NO_LOGIN = re.compile(
    r"no basic auth credentials|unauthorized|authentication required|denied|forbidden|token has expired", re.IGNORECASE
)
# docs.aws.amazon.com/AmazonECR/latest/userguide: IAM permissions for pushing an image
_PUSH_ACTIONS = (
    "A push needs ecr:GetAuthorizationToken and, on the repository, ecr:BatchCheckLayerAvailability, "
    "ecr:InitiateLayerUpload, ecr:UploadLayerPart, ecr:CompleteLayerUpload, ecr:PutImage and ecr:BatchGetImage."
)
_ATTESTATION = re.compile(
    r"attestation.* not supported|docker exporter does not.*support.*(?:attest|manifest list)", re.IGNORECASE
)
_DRIVER = re.compile(r"(?:multiple platforms|cache export|multi-platform build).*not supported", re.IGNORECASE)
_PLATFORM = re.compile(r"exec format error|no match for platform", re.IGNORECASE)
_NO_MIRROR = re.compile(r"Temporary failure resolving|Could not resolve|E: Failed to fetch|Unable to connect to \S+:")
# pip tries again and then says that there is no such package; its earlier lines have the cause.
_PIP_FOUND_NOTHING = re.compile(r"ERROR: (?:No matching distribution found|Could not find a version)")
_UNTRUSTED = re.compile(r"CERTIFICATE_VERIFY_FAILED")
_NO_INDEX = re.compile(
    r"NewConnectionError|ConnectTimeoutError|NameResolutionError|Failed to establish a new connection|ProxyError"
)
_APT = re.compile(r"E: Unable to locate package (\S+)")
_BUILDX_ERROR = re.compile(r"^ERROR: (.*)")

_SPACE_HINT = "Make room: `docker system df` shows what takes it, `docker builder prune` frees the build cache."


def diagnose(lines: Sequence[str]) -> BuildToolError:
    """The error that a failed build's output stands for; the most telling cause wins."""
    text = "\n".join(lines)
    step_errors = list(dict.fromkeys(match[1] for match in _STEP_ERROR.finditer(text)))
    if _NO_SPACE.search(text):
        return DiskFullError("No space left for the build.", _SPACE_HINT)
    if _NO_ENGINE.search(text):
        return no_engine()
    if _NO_BUILDX.search(text):
        return no_buildx()
    if _PIP_FOUND_NOTHING.search(text) and _UNTRUSTED.search(text):
        return BuildError(
            "The certificate of the Python package index is not trusted inside the build.",
            "Behind a company's proxy or index, give its CA: --ca-bundle FILE.",
        )
    if _PIP_FOUND_NOTHING.search(text) and _NO_INDEX.search(text):
        return BuildError(
            "The Python package index cannot be reached from inside the build.",
            "Check the network and proxy of the engine; --pip-config FILE names another index.",
        )
    if step_errors:
        return BuildError("\n  ".join(step_errors))
    if _NO_MIRROR.search(text):
        return BuildError(
            "Debian's packages cannot be downloaded: the mirror cannot be reached.",
            "Check the network and proxy of the engine; --ca-bundle FILE for a company's own CA.",
        )
    if missing := _APT.findall(text):
        return BuildError(
            f"Debian has no package {', '.join(dict.fromkeys(missing))}.",
            "Check --apt-packages; https://packages.debian.org lists the names.",
        )
    if _PUSH.search(text):
        return PushError(
            f"Cannot push: {_last_error(lines)}",
            "Check that the repository exists and that you are logged in to its registry: `docker login`.",
        )
    if _BASE.search(text):
        return _no_base(text)
    if _PLATFORM.search(text):
        return BuildError(
            "This machine cannot run programs of the platform asked for.",
            "Install emulation (`docker run --privileged --rm tonistiigi/binfmt --install all`), or build on a machine "
            "of that platform, or leave --platform out.",
        )
    if _ATTESTATION.search(text) or _DRIVER.search(text):
        return BuildError(
            f"This builder cannot do it: {_last_error(lines)}",
            "SBOM, provenance, cache export and several platforms need `docker buildx create --use` or the engine's "
            "containerd image store.",
        )
    return BuildError(
        f"The build failed: {_last_error(lines)}", "Its output is above; --progress plain shows all of it."
    )


def tag_is_taken(name: str) -> PushError:
    """The repository's tags are immutable, and this one has another content."""
    return PushError(
        f"The tag {name} exists with another content, and tags of this repository are immutable.",
        "Give --content-tag: the tag then names its content, and every build has one of its own. Or --tag TAG.",
    )


def diagnose_push(said: str, name: str) -> PushError:
    """The error that a registry's answer to a push stands for, as the engine passes it on.

    :param name: what was pushed.
    """
    repository = name.rpartition(":")[0]
    if _IMMUTABLE.search(said):
        return tag_is_taken(name)
    if _NO_REPOSITORY.search(said):
        return PushError(
            f"There is no repository {repository}: {said}",
            "Create it; in Amazon ECR `python build.py push --create-repository` does.",
        )
    if action := _DENIED_ACTION.search(said):
        return PushError(f"Cannot push {name}: {said}", f"Allow {action[1]}. {_PUSH_ACTIONS}")
    registry = repository.split("/")[0] if set(".:") & set(repository.split("/")[0]) else ""
    login = f"`docker login {registry}".rstrip() + "`"
    if _NO_LOGIN.search(said):
        return PushError(
            f"Cannot push {name}: {said}",
            f"Log in as somebody who may push there: {login}; `python build.py push` logs in to Amazon ECR by itself.",
        )
    return PushError(
        f"Cannot push {name}: {said}",
        f"Check the registry's name and the engine's way to it, and that you are logged in: {login}.",
    )


def _no_base(text: str) -> BaseImageError:
    name, reason = _BASE_NAME.search(text), _BASE_REASON.search(text)
    image = name[1].rstrip(":").removeprefix("docker.io/") if name else ""
    return BaseImageError(
        f"The base image {image or 'of the image'} cannot be had: "
        + (reason[1] if reason else "it does not exist, needs a login, or cannot be reached")
        + ".",
        f"Try `docker pull {image}`, or name another with --base." if image else "Name another with --base.",
    )


def no_engine(address: str | None = None) -> EngineError:
    """The engine does not answer."""
    return EngineError(
        f"The Docker engine{f' at {address}' if address else ''} does not answer.",
        "Start it (Docker Desktop, `systemctl start docker`, or `make engine` in this repository), and check that "
        "you may use it: `docker info`.",
    )


def no_client(name: str) -> EngineError:
    """No Docker client on PATH."""
    return EngineError(
        f"There is no `{name}` command on PATH.",
        "Install Docker: https://docs.docker.com/engine/install (Debian, as root: `make engine` here).",
    )


def no_buildx() -> BuildxError:
    """The Docker client has no Buildx plugin."""
    return BuildxError(
        "The Docker client has no Buildx.",
        "Install it (Debian: docker-buildx; Docker's own packages: docker-buildx-plugin), or run `make engine`.",
    )


def _last_error(lines: Sequence[str]) -> str:
    errors = [match[1] for line in lines if (match := _BUILDX_ERROR.match(line))]
    return errors[-1] if errors else next((line for line in reversed(lines) if line.strip()), "no output")


def failing_step(lines: Sequence[str]) -> tuple[str, ...]:
    """The output of the step that failed, which plain progress repeats between two rules at its end."""
    rules = [number for number, line in enumerate(lines) if line.strip() == "------"]
    if len(rules) < 2:
        return tuple(lines[-20:])
    return tuple(lines[rules[0] + 1 : rules[1]])
