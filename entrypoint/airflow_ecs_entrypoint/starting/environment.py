"""The environment of the command."""

from __future__ import annotations

import os
import pwd
from contextlib import suppress
from dataclasses import dataclass
from typing import Mapping

from airflow_ecs_entrypoint.settings import Settings

DEFAULT_USER_HOME = "/home/airflow"
_PASSWD = "/etc/passwd"


@dataclass(frozen=True)
class User:
    """The numeric ID of a user, and whether the user database has an entry for it."""

    uid: int
    known: bool


def current_user() -> User:
    """Return the user of this process."""
    uid = os.getuid()
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return User(uid, known=False)
    return User(uid, known=True)


def user_home(environ: Mapping[str, str]) -> str:
    """Return the home folder of the image's user (``AIRFLOW_USER_HOME_DIR`` of the official image)."""
    return environ.get("AIRFLOW_USER_HOME_DIR") or DEFAULT_USER_HOME


def empty_aws_variables(environ: Mapping[str, str]) -> list[str]:
    """Return the names of AWS variables with an empty value.

    They have to be removed, because the SDK uses an empty region or endpoint as it is (``https://s3..amazonaws.com``).
    """
    return [name for name, value in environ.items() if name.startswith("AWS_") and not value.strip()]


def for_command(environ: Mapping[str, str], settings: Settings | None, user: User) -> dict[str, str]:
    """Return the environment of the command. ``settings`` is None if they could not be read.

    PYTHONPATH stays unchanged, also for root: this package is installed beside Airflow, so every user who can run it
    can import Airflow.
    """
    result = dict(environ)
    # Set in the official image for `pip install --user`; it breaks pip in the virtual environments of tasks.
    result.pop("PIP_USER", None)
    if not user.known:
        # Airflow requires a user name. With a read-only root file system, only these variables can provide it.
        for name in ("LOGNAME", "USER"):
            result[name] = environ.get(name) or user_name(environ)
    if settings is not None and settings.custom_dag_folder and not environ.get("AIRFLOW__CORE__DAGS_FOLDER"):
        result["AIRFLOW__CORE__DAGS_FOLDER"] = settings.dag_folder
    # As the official entrypoint does (apache/airflow issue 17546): some C++ extensions cannot be loaded later.
    library = f"/usr/lib/{os.uname().machine}-linux-gnu/libstdc++.so.6"
    if not environ.get("LD_PRELOAD") and os.path.exists(library):
        result["LD_PRELOAD"] = library
    return result


def replace_environment(environment: Mapping[str, str]) -> None:
    """Make ``environment`` that of this process, and leave variables that stay the same where they are in memory.

    ``setproctitle``, by which Airflow sets process titles, finds the memory of the command line in front of the first
    variable (``find_argv_from_env`` in its ``spt_setup.c``). If all variables are replaced, it silently does nothing.
    """
    for name in [name for name in os.environ if name not in environment]:
        del os.environ[name]
    for name, value in environment.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


def load_library(path: str) -> None:
    """Load a shared library into this process, as LD_PRELOAD does for new processes."""
    import ctypes

    with suppress(OSError):
        ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)


def user_name(environ: Mapping[str, str]) -> str:
    """Return the name for an unknown user: ``USER_NAME``, as in the official image, or ``default``."""
    name = environ.get("USER_NAME") or "default"
    return name if name.isprintable() and ":" not in name else "default"


def passwd_line(uid: int, environ: Mapping[str, str]) -> str:
    """Return an entry of the user database for ``uid``, in group 0."""
    name = user_name(environ)
    return f"{name}:x:{uid}:0:{name} user:{user_home(environ)}:/sbin/nologin\n"


def register(user: User, environ: Mapping[str, str], passwd: str = _PASSWD) -> None:
    """Add an unknown user to the user database if it is writable. Few programs need the name, so errors are ignored."""
    if user.known or not os.access(passwd, os.W_OK):
        return
    with suppress(OSError), open(passwd, "a", encoding="utf-8") as stream:
        stream.write(passwd_line(user.uid, environ))
