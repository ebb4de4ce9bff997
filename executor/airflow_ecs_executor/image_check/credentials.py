"""What ``docker login`` has stored: in docker's configuration file, or with a credential helper.

docs.docker.com/reference/cli/docker/login. Nothing here raises: without credentials, images may be public.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Mapping

from airflow_ecs_executor.image_check.reference import DOCKER_HUB

_HUB_KEY = "https://index.docker.io/v1/"
_IDENTITY_TOKEN_USER = "<token>"
_HELPER_TIMEOUT = 5.0
"""Seconds."""


@dataclass(frozen=True)
class Credentials:
    """For one registry: user and password, or an identity token; all empty if there are none.

    ``trouble`` says why there are none, if there should be.
    """

    user: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    trouble: str = ""

    def __bool__(self) -> bool:
        return bool(self.identity_token or self.user)


def stored_credentials(registry: str, environ: Mapping[str, str] = os.environ) -> Credentials:
    """Find the credentials for a registry, by its host (with its port)."""
    try:
        file = Path(environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
        config = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return Credentials()
    except (OSError, ValueError, RuntimeError) as error:
        return Credentials(trouble=f"docker's config.json cannot be read ({type(error).__name__})")
    if not isinstance(config, dict):
        return Credentials(trouble="docker's config.json is no JSON object")
    keys = [_HUB_KEY, "index.docker.io", "docker.io"] if registry == DOCKER_HUB else [registry]
    helpers = config.get("credHelpers")
    helper = next((helpers[key] for key in keys if key in helpers), None) if isinstance(helpers, dict) else None
    helper = helper or config.get("credsStore")
    if helper:
        found = _from_helper(str(helper), keys[0], environ)
        if found or found.trouble:
            return found
    auths = config.get("auths")
    for key, entry in auths.items() if isinstance(auths, dict) else ():
        if isinstance(entry, dict) and (key in keys or _host_of(key) in keys):
            found = _from_entry(entry)
            if found or found.trouble:
                return found
    return Credentials()


def _host_of(key: str) -> str:
    """The host in a key of ``auths``, which may be a URL."""
    return key.partition("://")[2].partition("/")[0] if "://" in key else key.partition("/")[0]


def _from_entry(entry: Mapping[str, Any]) -> Credentials:
    user, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if entry.get("auth"):
        try:
            text = base64.b64decode(str(entry["auth"]), validate=True).decode()
        except ValueError:
            return Credentials(trouble="the entry in docker's config.json cannot be read")
        user, _, password = text.rstrip("\0").partition(":")
    return Credentials(user, password, str(entry.get("identitytoken") or ""))


def _from_helper(name: str, key: str, environ: Mapping[str, str]) -> Credentials:
    program = f"docker-credential-{name}"
    try:
        done = subprocess.run(
            [program, "get"],
            input=key.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_HELPER_TIMEOUT,
            env=dict(environ),
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return Credentials(trouble=f"{program} cannot be run ({type(error).__name__})")
    if done.returncode != 0:
        # Its way to say that it has none; other failures cannot be told apart from that.
        return Credentials() if b"not found" in done.stdout else Credentials(trouble=f"{program} failed")
    try:
        answer = json.loads(done.stdout)
        user, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError):
        return Credentials(trouble=f"the answer of {program} cannot be read")
    if user == _IDENTITY_TOKEN_USER:
        return Credentials(identity_token=secret)
    return Credentials(user, secret)
