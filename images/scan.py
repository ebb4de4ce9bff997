"""Look for AWS keys and generated secrets in an image's environment, history and layers."""

from __future__ import annotations

import io
import json
import re
import tarfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import IO, cast

from images.secrets import (
    ACCESS_KEY_ID,
    GENERATED_OPTIONS,
    private_key_in,
    secret_options,
    secrets_in,
    sensitive_setting,
    sensitive_value,
)
from images.spec import AWS_CREDENTIALS

_LARGEST_FILE = 1024 * 1024
"""Bytes; larger files are programs and data, not settings, and reading them all would take minutes."""

_SECRET_FILES = (
    ".aws/credentials",
    ".netrc",
    ".pypirc",
    ".docker/config.json",
    "simple_auth_manager_passwords.json.generated",
    "standalone_admin_password.txt",
)
_LIBRARIES = ("/site-packages/", "/dist-packages/", "/usr/share/", "/usr/lib/", "/usr/python/", "/usr/local/lib/")
"""Packages bring private keys for their tests and expired key ids in their documentation: no leaks."""

_BLOB = re.compile(r"blobs/sha256/[0-9a-f]{64}")
"""A layer in a saved image, named by its content's digest."""


@dataclass(frozen=True)
class Finding:
    """A secret that was found: its place and its kind. Never the secret itself."""

    where: str
    what: str


def scan_environment(variables: Iterable[str], insecure: bool) -> list[Finding]:
    """Return the secrets in ``NAME=VALUE`` variables; ``insecure``: AWS credentials are there on request."""
    found = []
    for variable in variables:
        name, _, value = variable.partition("=")
        if insecure and name in AWS_CREDENTIALS.values():
            continue
        # GPG_KEY of the Python images is the public key's fingerprint; sensitive_name does not match it.
        if sensitive_setting(name, value):
            found.append(Finding(f"ENV {name}", "looks like a secret"))
    return found


def scan_history(commands: Sequence[str], insecure: bool) -> list[Finding]:
    """Return the secrets in the commands of an image's history, including build arguments."""
    found = []
    for number, command in enumerate(reversed(commands), 1):
        # `ARG` and `ENV` of credentials on request are what the label announces.
        if insecure and any(name in command for pair in AWS_CREDENTIALS.items() for name in pair):
            continue
        kinds = secrets_in(command.encode())
        if not kinds and sensitive_value(command):
            kinds = ("password in an address",)
        found += [Finding(f"history, step {number}", kind) for kind in kinds]
    return found


def layer_name(digest: str) -> str:
    """Return the name that the layer with this digest, ``sha256:…``, has in a saved image."""
    return f"blobs/sha256/{digest.partition(':')[2]}"


def scan_layers(archive: tarfile.TarFile, known: dict[str, list[Finding]] | None = None) -> list[Finding]:
    """Return the secrets in the files of every layer, including files that a later layer deletes.

    ``archive`` is a saved image, as ``docker save`` writes it, opened as a stream. ``known`` are the findings of images
    scanned before, by layer; it is added to.
    """
    known = {} if known is None else known
    found: list[Finding] = []
    for member in archive:
        if _BLOB.fullmatch(member.name) and member.name in known:
            found += known[member.name]
            continue
        if not member.isfile() or member.name.endswith((".json", "repositories", "VERSION", "oci-layout")):
            continue
        content = io.BufferedReader(cast(io.RawIOBase, archive.extractfile(member)))
        if content.peek(1)[:1] in (b"", b"{"):
            continue  # a manifest or configuration of the OCI layout, which has no ending to know it by
        known[member.name] = _scan_layer(member.name, content)
        found += known[member.name]
    return sorted(set(found), key=lambda finding: (finding.where, finding.what))


def _scan_layer(name: str, content: IO[bytes]) -> list[Finding]:
    found: list[Finding] = []
    try:
        with tarfile.open(fileobj=content, mode="r|*") as layer:
            for file in layer:
                found += _scan_member(layer, file)
    except (tarfile.TarError, zlib.error, EOFError, OSError):
        # Compressed in a way this Python does not know (zstd), or broken: silence would pass for a clean layer.
        found.append(Finding(f"layer {name}", "could not be read, so not searched"))
    return found


def _scan_member(layer: tarfile.TarFile, file: tarfile.TarInfo) -> list[Finding]:
    if not file.isfile() or not file.size or file.size > _LARGEST_FILE or file.name.endswith(".pyc"):
        return []
    stream = layer.extractfile(file)
    return scan_file("/" + file.name.removeprefix("./").lstrip("/"), stream.read() if stream else b"")


def scan_file(path: str, content: bytes) -> list[Finding]:
    """Return the secrets in one file of an image. Pure."""
    if b"\0" in content[:1024]:
        return []  # a binary
    kinds = list(secrets_in(content))
    if any(folder in path for folder in _LIBRARIES):
        kinds = [kind for kind in kinds if kind != ACCESS_KEY_ID]
    elif private_key_in(content):
        kinds.append("private key")
    if path.endswith("/airflow.cfg"):
        try:
            options = secret_options(content.decode(errors="replace"))
        except ValueError:
            options = ()
        for option in options:
            generated = option.split(".")[-1] in GENERATED_OPTIONS
            kinds.append(f"{option} ({'generated, the same for every user' if generated else 'secret'})")
    if path.endswith(_SECRET_FILES) and content.strip() and not kinds and not _is_empty_json(content):
        kinds.append("a file that holds credentials")
    return [Finding(path, kind) for kind in kinds]


def _is_empty_json(content: bytes) -> bool:
    try:
        return not json.loads(content)
    except ValueError:
        return False
