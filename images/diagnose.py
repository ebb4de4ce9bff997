"""Turn the output of Buildx and of `docker push` into one error that says what to do. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from images.errors import BaseImageError, BuildError, BuildToolError, BuildxError, DiskFullError, EngineError, PushError
from images.registry.failures import lacks_repository, pull_advice, push_advice
from images.source_builds import SourceBuild, failed_source_build

# How the build steps in images/steps print errors.
_STEP_ERROR = re.compile(r"airflow-ecs-build: error: (.*)")
_STEP_NOTE = re.compile(r"airflow-ecs-build: note: (.*)")
_STEP_HINT = re.compile(r"airflow-ecs-build: hint: (.*)")
_NO_SPACE = re.compile(r"no space left on device|disk quota exceeded|enough free space", re.IGNORECASE)
_NO_ENGINE = re.compile(
    r"cannot connect to the docker daemon|is the docker daemon running|permission denied while trying to connect"
    r"|error during connect",
    re.IGNORECASE,
)
_NO_BUILDX = re.compile(
    r"'buildx' is not a docker command|unknown command: docker buildx|unknown shorthand flag"
    r"|buildx component.{0,12} is missing or broken"
)
_NO_BUILDER = re.compile(r'no builder "[^"]*" found')
# The connection to the builder was lost: gRPC's words, which Buildx prints.
_BUILDER_GONE = re.compile(r"code = Unavailable|Unavailable: |error reading from server|transport is closing")

_FAILING_STEP = re.compile(r"^ > (.*?):?\s*$", re.MULTILINE)
_BUILDX_ERROR = re.compile(r"^(?:Error: )?(?:ERROR|error): (.*)")
_PREFIXES = re.compile(
    r"^(?:target \S+: |failed to (?:build|solve): |rpc error: code = \w+ desc = |Error response from daemon: |ERROR: )+"
)
_PUSH = re.compile(r"failed to push|push access denied", re.IGNORECASE)
_PUSHED_NAME = re.compile(r"failed to push (\S+?):? ")
# How errors of a push begin if Buildx does not say that it was a push.
_REFUSAL = re.compile(
    r"(?:denied|unauthorized|name unknown|tag invalid|manifest invalid|toomanyrequests|no basic auth|authorization"
    r"|unexpected status|failed to (?:authorize|fetch (?:oauth|anonymous) token|copy: (?:unexpected|failed to))"
    r"|failed commit on ref)\b",
    re.IGNORECASE,
)
_IMMUTABLE = re.compile(r"immutable|cannot be overwritten|tag invalid", re.IGNORECASE)
_TAKEN = re.compile(r"image tag '([^']+)' already exists in the '([^']+)' repository")
_CACHE = re.compile(r"error writing (?:layer|manifest|config) blob|cache (?:im|ex)porter")
_BROKEN_CACHE = re.compile(r"parent snapshot \S+ does not exist|failed to prepare extraction snapshot")
_CACHE_STEP = re.compile(r"(?:im|ex)porting cache")
_BASE = re.compile(
    r"failed to resolve source metadata|pull access denied|pull rate limit|manifest unknown|failed to do request"
    r"|no match for platform",
    re.IGNORECASE,
)
_BASE_STEP = re.compile(r"\[internal\] (?:load metadata|booting buildkit)|resolve image config|\[.*\] FROM ")
_BASE_NAME = re.compile(
    r"(?:failed to resolve source metadata for|load metadata for|\] FROM) (\S+?)(?:@\S*?)?:?(?:\s|$)"
)
_BASE_REASON = re.compile(r"failed to resolve source metadata for \S+: (.*)")
_ATTESTATION = re.compile(
    r"attestation.* not supported|docker exporter does not.*support.*(?:attest|manifest list)", re.IGNORECASE
)
_DRIVER = re.compile(r"(?:multiple platforms|cache export|multi-platform build|exporter).*not supported", re.IGNORECASE)
_APT = re.compile(r"E: (?:Unable to locate package (\S+)|Package '(\S+)' has no installation candidate)")

_SPACE_HINT = "Free some space: `docker system df` shows what uses it, `docker builder prune` frees the build cache."
_CA_HINT = "Behind a company's proxy or index, give its CA: --ca-bundle FILE."

# pip retries, and then says that there is no such package: its earlier lines have the cause.
_INDEX_FAILED = re.compile(
    r"ERROR: (?:No matching distribution found|Could not find a version|HTTP error|Exception:"
    r"|Could not install packages due to an (?:OS|Environment)Error)"
    r"|(?<!E: )Failed to (?:fetch|download)\b|error sending request for url|pip\._vendor\.\S+Error"
)
_INDEX: Sequence[tuple[str, str, str]] = (
    (
        r"CERTIFICATE_VERIFY_FAILED|invalid peer certificate",
        "The certificate of the Python package index is not trusted inside the build.",
        _CA_HINT,
    ),
    (
        r"HTTP error 40[13]|40[13] (?:Client )?Error|40[13] (?:Unauthorized|Forbidden)|Credentials not correct",
        "The Python package index refuses the login.",
        "Correct the credentials in the file of --pip-config.",
    ),
    (
        r"NewConnectionError|ConnectTimeoutError|NameResolutionError|Failed to establish a new connection|ProxyError"
        r"|ReadTimeoutError|timed out|Connection broken|Connection aborted|RemoteDisconnected|IncompleteRead"
        r"|ProtocolError|too many 50\d error|50[234] Server Error|dns error",
        "The Python package index cannot be reached from inside the build.",
        "Check the network and proxy of the engine, and try again; --pip-config FILE names another index.",
    ),
)
_KILLED = re.compile(r"exit code: 137|cannot allocate memory|signal: killed", re.IGNORECASE)
# What to do about a failed build step, which itself says what is wrong.
_PIP: Sequence[tuple[str, str]] = (
    (
        r"DO NOT MATCH THE HASHES",
        "Renew the hashes in the requirements. If they are right, a proxy has changed what was downloaded.",
    ),
    (r"Cannot find command 'git'", "A requirement is in a Git repository: --apt-packages git."),
    (
        r"No matching distribution found|Could not find a version|requires a different Python"
        r"|was not found in the package registry",
        "Check the package's name and version, and that it exists for this Python (--python).",
    ),
)
_MIRROR: Sequence[tuple[str, str, str]] = (
    (
        r"is not valid yet",
        "The clock of the engine's machine is behind that of Debian's mirror.",
        "Set the clock of the engine's machine.",
    ),
    (
        r"Certificate verification failed|certificate is NOT trusted",
        "The certificate of Debian's mirror is not trusted inside the build.",
        _CA_HINT,
    ),
    (
        r"Hash Sum mismatch|File has unexpected size|Mirror sync in progress",
        "Debian's mirror is being updated, or a proxy changes what it sends.",
        "Try again in some minutes. If that does not help, check the engine's proxy.",
    ),
    (
        r"NO_PUBKEY|is not signed\.",
        "The key by which a package repository is signed is not known inside the build.",
        "Use a base image that has the key, or one without that repository (--base).",
    ),
    (
        r"does not have a Release file|no longer has a Release file|E: Failed to fetch \S+ +404 ",
        "Debian's mirror does not have the packages that the base image asks for.",
        "Build with --no-cache. A Debian release that has moved to archive.debian.org needs a newer --base.",
    ),
    (
        r"Temporary failure resolving|Could not resolve '|E: Failed to fetch|Unable to connect to \S+:",
        "Debian's packages cannot be downloaded: the mirror cannot be reached.",
        "Check the network and proxy of the engine; --ca-bundle FILE for a company's own CA.",
    ),
)


def diagnose(lines: Sequence[str]) -> BuildToolError:
    """Return the error that the output of a failed build stands for; the most telling cause wins."""
    text, error = "\n".join(lines), _last_error(lines)
    plain = _PREFIXES.sub("", error)
    steps = _FAILING_STEP.findall(text)
    step = steps[-1] if steps else ""
    if _NO_SPACE.search(text):
        return DiskFullError("No space left for the build.", _SPACE_HINT)
    if _NO_ENGINE.search(text):
        return no_engine()
    if _NO_BUILDX.search(text):
        return no_buildx()
    if _NO_BUILDER.search(error):
        return BuildxError(f"{error}.", "`docker buildx ls` lists the builders; `docker buildx use NAME` chooses one.")
    if _ATTESTATION.search(error) or _DRIVER.search(error):
        return BuildError(
            f"This builder does not support it: {error}",
            "SBOM, provenance, cache export and several platforms require `docker buildx create --use` or the engine's "
            "containerd image store.",
        )
    if _BROKEN_CACHE.search(error):
        return BuildError(
            f"The builder's cache is broken: {error}", "Empty it with `docker builder prune`, and try again."
        )
    if _CACHE_STEP.match(step) or _CACHE.search(error):
        return BuildError(
            f"The build cache could not be read or written: {error}",
            "Check --cache-from and --cache-to, and the login to their registry. Amazon ECR requires "
            "image-manifest=true,oci-mediatypes=true.",  # aws/containers-roadmap#876
        )
    if _PUSH.search(error) or (
        (step in ("", "exporting to image") or " pushing " in step)
        and _REFUSAL.match(plain)
        and not _BASE.search(error)
    ):
        return _no_push(error, plain)
    if _BASE.search(error) or _BASE_STEP.match(step):
        return _no_base(step or text, plain)
    return _failed_step(text, error)


def notes(lines: Sequence[str]) -> tuple[str, ...]:
    """Return what the steps of a build that succeeded want to be shown."""
    return tuple(dict.fromkeys(_STEP_NOTE.findall("\n".join(lines))))


def _failed_step(text: str, error: str) -> BuildToolError:
    """Return the error of a step of the Dockerfile, or of what nothing else explains."""
    said = "\n  ".join(dict.fromkeys(match[1] for match in _STEP_ERROR.finditer(text)))
    if hints := _STEP_HINT.findall(text):
        return BuildError(said, hints[-1])
    if _INDEX_FAILED.search(text):
        for words, message, advice in _INDEX:
            if re.search(words, text):
                return BuildError(message, advice)
    if _KILLED.search(text):
        return BuildError(
            f"The build was killed: {said or error}",
            "It probably ran out of memory: give the engine more, or build fewer images at once.",
        )
    if build := failed_source_build(text):
        return _no_wheel(build)
    advice = next((advice for words, advice in _PIP if re.search(words, text)), "")
    if said:
        return BuildError(said, advice)
    for words, message, remedy in _MIRROR:
        if re.search(words, text):
            return BuildError(message, remedy)
    if missing := _APT.findall(text):
        return BuildError(
            f"Debian has no package {', '.join(dict.fromkeys(''.join(names) for names in missing))}.",
            "Check --apt-packages; https://packages.debian.org lists the names.",
        )
    if "exec format error" in text:
        return BuildError(
            "This machine cannot run programs of the requested platform.",
            "Install emulation (`docker run --privileged --rm tonistiigi/binfmt --install all`), or build on a machine "
            "of that platform, or leave --platform out.",
        )
    if _BUILDER_GONE.search(error):
        return EngineError(
            f"The builder stopped: {error}", "Try again. Its log says why; often it runs out of memory: `docker ps -a`."
        )
    return BuildError(f"The build failed: {error}", advice or "Its output is above; --progress plain shows all of it.")


def _no_wheel(build: SourceBuild) -> BuildError:
    """Return the error for a package that pip could not build from source."""
    message = f"{build.package or 'A package'} has no wheel for this Python and CPU, and could not be built from source"
    other = "Or name a version that has a wheel."
    if build.debian_packages:
        advice = f"It requires Debian packages: --apt-packages {' '.join(build.debian_packages)}\n  {other}"
    else:
        advice = f"Give what it requires with --apt-packages: its output is above. {other}"
    return BuildError(f"{message}: {build.cause or 'see its output'}.", advice)


def tag_is_taken(name: str) -> PushError:
    """Return the error for a tag of an immutable repository that has another content."""
    return PushError(
        f"The tag {name} exists with another content, and tags of this repository are immutable.",
        "Immutable tags never move: give another one with --tag, or use `python build.py push --content-tag`, with "
        "which every content has its own tag.",
    )


def diagnose_push(said: str, name: str) -> PushError:
    """Return the error that the output of `docker push` on standard error stands for; ``name`` is what was pushed."""
    lines = [line for line in said.strip().splitlines() if not line.startswith("WARNING")]
    said = _PREFIXES.sub("", "\n".join(lines))
    if _IMMUTABLE.search(said):
        return tag_is_taken(name)
    repository = name.rpartition(":")[0]
    if lacks_repository(said, name):
        return PushError(f"There is no repository {repository}: {said}", push_advice(said, name))
    return PushError(f"{name} could not be pushed: {said}", push_advice(said, name))


def _no_push(error: str, plain: str) -> PushError:
    """Return the error for a push by Buildx, whose output may lack the name."""
    pushed = _PUSHED_NAME.search(error)
    name = pushed[1] if pushed else ""
    if _IMMUTABLE.search(error):
        taken = _TAKEN.search(error)
        return tag_is_taken(name or (f"{taken[2]}:{taken[1]}" if taken else "that was pushed"))
    return PushError(f"The image could not be pushed: {error}", push_advice(plain, name))


def _no_base(where: str, plain: str) -> BaseImageError:
    name, reason = _BASE_NAME.search(where) or _BASE_NAME.search(plain), _BASE_REASON.search(plain)
    image = name[1].rstrip(":").removeprefix("docker.io/") if name else ""
    said = reason[1] if reason else plain
    return BaseImageError(
        f"The base image {image or 'of the image'} could not be pulled: {said.rstrip('.')}.",
        pull_advice(said, image)
        or (f"Try `docker pull {image}`, or name another with --base." if image else "Name another with --base."),
    )


def no_engine(address: str | None = None) -> EngineError:
    """Return the error for an engine that does not answer."""
    return EngineError(
        f"The Docker engine{f' at {address}' if address else ''} does not answer.",
        "Start it (Docker Desktop, `systemctl start docker`, or `make engine` in this repository), and check that "
        "you may use it: `docker info`.",
    )


def no_client() -> EngineError:
    """Return the error for a missing Docker client."""
    return EngineError(
        "There is no `docker` command on PATH.",
        "Install Docker: https://docs.docker.com/engine/install (Debian, as root: `make engine` here).",
    )


def no_buildx() -> BuildxError:
    """Return the error for a Docker client without the Buildx plugin."""
    return BuildxError(
        "The Docker client has no Buildx.",
        "Install it (Debian: docker-buildx; Docker's own packages: docker-buildx-plugin), or run `make engine`.",
    )


def _last_error(lines: Sequence[str]) -> str:
    errors = [match[1] for line in lines if (match := _BUILDX_ERROR.match(line))]
    return errors[-1] if errors else next((line for line in reversed(lines) if line.strip()), "no output")


def failing_step(lines: Sequence[str]) -> tuple[str, ...]:
    """Return the output of the step that failed, which plain progress repeats between two rules at its end."""
    rules = [number for number, line in enumerate(lines) if line.strip() == "------"]
    if len(rules) < 2:
        return tuple(lines[-20:])
    return tuple(lines[rules[0] + 1 : rules[1]])
