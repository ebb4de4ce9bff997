"""Give the docker client further logins for a while: it knows only those of its configuration."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from images.registry.logins import RegistryAuth

_HELPER = """\
#!/bin/sh
# A credential helper (github.com/docker/docker-credential-helpers): the login is in the environment of the caller.
[ "$1" = get ] && printf '%s' "${{{variable}}}"
"""


@contextmanager
def with_logins(logins: Iterable[RegistryAuth], environ: Mapping[str, str] = os.environ) -> Iterator[dict[str, str]]:
    """Return variables with which the docker client uses these logins, as long as the block lasts.

    The user's configuration stays in effect: contexts, builders, plugins and other logins. Passwords are only in the
    environment. The temporary folder, which only the user can read, has programs that print them from there.
    """
    logins = list(logins)
    if not logins:
        yield {}
        return
    home = Path(environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    with tempfile.TemporaryDirectory(prefix="airflow-ecs-docker-") as temporary:
        folder, programs = Path(temporary) / "config", Path(temporary) / "bin"
        folder.mkdir()
        programs.mkdir()
        for entry in home.iterdir() if home.is_dir() else ():
            if entry.name != "config.json":
                (folder / entry.name).symlink_to(entry.absolute())
        environment = {
            "DOCKER_CONFIG": str(folder),
            "BUILDX_CONFIG": environ.get("BUILDX_CONFIG") or str(home.absolute() / "buildx"),
            "PATH": f"{programs}{os.pathsep}{environ.get('PATH', os.defpath)}",
        }
        helpers = {}
        for number, login in enumerate(logins):
            helper, variable = f"airflow-ecs-{number}", f"AIRFLOW_ECS_LOGIN_{number}"
            helpers[login.registry] = helper
            program = programs / f"docker-credential-{helper}"
            program.write_text(_HELPER.format(variable=variable), encoding="utf-8")
            program.chmod(0o700)
            found = login.credentials
            environment[variable] = json.dumps(
                {"ServerURL": login.registry, "Username": found.user, "Secret": found.password}
            )
        config = folder / "config.json"
        config.touch(mode=0o600)
        users = _config(home)
        helpers = {**(users.get("credHelpers") or {}), **helpers}
        config.write_text(json.dumps({**users, "credHelpers": helpers}), encoding="utf-8")
        yield environment


def _config(home: Path) -> dict[str, Any]:
    """Return the user's configuration; an empty one if docker could not read it."""
    try:
        found = json.loads((home / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
