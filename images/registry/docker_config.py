"""Give the docker client further logins for a while: it knows only those of its configuration."""

from __future__ import annotations

import base64
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from airflow_ecs_executor.image_check.registry import Credentials

from images.registry.logins import RegistryAuth, docker_folder, user_config


@contextmanager
def with_logins(logins: Iterable[RegistryAuth], environ: Mapping[str, str] = os.environ) -> Iterator[dict[str, str]]:
    """Return variables with which the docker client uses these logins, as long as the block lasts.

    The user's configuration stays in effect: contexts, builders, plugins and other logins. The logins are in a
    temporary folder that only the user can read. Without a credential helper, named by an empty string, the client
    reads a registry's login from ``auths`` (docker/cli, cli/config/configfile).
    """
    logins = list(logins)
    if not logins:
        yield {}
        return
    home = docker_folder(environ)
    with tempfile.TemporaryDirectory(prefix="airflow-ecs-docker-") as temporary:
        folder = Path(temporary)
        for entry in home.iterdir() if home.is_dir() else ():
            if entry.name != "config.json":
                (folder / entry.name).symlink_to(entry.absolute())
        users = user_config(home)
        auths = {login.registry: {"auth": _encoded(login.credentials)} for login in logins}
        helpers = dict.fromkeys(auths, "")
        config = folder / "config.json"
        config.touch(mode=0o600)
        config.write_text(
            json.dumps(
                {
                    **users,
                    "auths": {**(users.get("auths") or {}), **auths},
                    "credHelpers": {**(users.get("credHelpers") or {}), **helpers},
                }
            ),
            encoding="utf-8",
        )
        yield {
            "DOCKER_CONFIG": str(folder),
            "BUILDX_CONFIG": environ.get("BUILDX_CONFIG") or str(home.absolute() / "buildx"),
        }


def _encoded(credentials: Credentials) -> str:
    return base64.b64encode(f"{credentials.user}:{credentials.password}".encode()).decode()
