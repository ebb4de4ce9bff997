"""The Docker engine: Buildx builds, the docker client pushes, and the engine's API runs and reads images."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import docker.errors
from airflow_ecs_executor.image_check.reference import parse
from docker.models.images import Image

from images.console import say
from images.diagnose import diagnose, diagnose_push, failing_step, no_buildx, no_client, no_engine, notes
from images.docker_address import docker_address
from images.errors import ImageNotFoundError
from images.progress import Progress

PROGRESS_MODES = ("auto", "plain", "tty", "quiet")


class Engine:
    """The engine that the `docker` command talks to."""

    def __init__(self) -> None:
        self._api: docker.DockerClient | None = None

    def require_buildx(self) -> None:
        """Raise EngineError if there is no client or no engine, and BuildxError if the client has no Buildx."""
        if shutil.which("docker") is None:
            raise no_client()
        if not _succeeds("buildx", "version"):
            raise no_buildx()
        self.require()

    def require(self) -> None:
        """Raise EngineError if there is no client, or the engine does not answer."""
        try:
            self.api.ping()
        except (docker.errors.DockerException, OSError):
            raise no_engine() from None

    @property
    def api(self) -> docker.DockerClient:
        """Return the engine's API, at the address that the client's current context names. Raises EngineError."""
        if self._api is None:
            address = docker_address()
            try:
                if os.environ.get("DOCKER_HOST"):
                    self._api = docker.DockerClient.from_env(timeout=120)  # with DOCKER_TLS_VERIFY and so on
                else:
                    self._api = docker.DockerClient(base_url=address, timeout=120)
            except docker.errors.DockerException:
                raise no_engine(address) from None
        return self._api

    def architecture(self) -> str:
        """Return the engine's own architecture, as platforms name it: ``amd64``, ``arm64``."""
        return str(self.api.version()["Arch"])

    def bake(
        self, definition: Mapping[str, Any], directory: Path, progress: str, environment: Mapping[str, str]
    ) -> None:
        """Build every target of a bake definition, whose file is written to ``directory``.

        ``progress`` is one of `PROGRESS_MODES`; ``auto`` is one line per step. ``environment`` is for Buildx alone:
        build arguments with secret values, and where it finds logins. Raises a BuildToolError, after the output of the
        failing step was shown.
        """
        file = directory / "docker-bake.json"
        file.write_text(json.dumps(definition, indent=2), encoding="utf-8")
        mode = "tty" if progress == "tty" else "plain"
        command = ["docker", "buildx", "bake", "--file", str(file), "--progress", mode]
        process = subprocess.Popen(
            command,
            # Newer Buildx asks before it reads files outside this folder, which is not necessary for our definition.
            env={**os.environ, "BUILDX_BAKE_ENTITLEMENTS_FS": "0", **environment},
            stderr=None if mode == "tty" else subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            errors="replace",
        )
        lines: list[str] = []
        try:
            lines = list(_shown(process.stderr or (), progress))
            code = process.wait()
        except BaseException:  # above all Ctrl-C: the build must not continue in the background
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
            raise
        finally:
            if process.stderr:
                process.stderr.close()
        if code:
            if progress in ("auto", "quiet"):
                print("\n".join(("", *failing_step(lines), "")), file=sys.stderr)
            raise diagnose(lines)
        for note in notes(lines):
            say(f"note: {note}")

    def image(self, reference: str, platform: str | None = None) -> Image:
        """Return an image, pulled for ``platform`` or the engine's own if it is missing. Raises ImageNotFoundError."""
        try:
            return self.api.images.get(reference)
        except docker.errors.ImageNotFound:
            pass
        except docker.errors.APIError as error:
            raise ImageNotFoundError(
                f"{reference}: {error.explanation}.", "Name an image, such as airflow-ecs-worker:2-s3."
            ) from None
        print(f"Pulling {reference} ...", file=sys.stderr)
        only = ["--platform", platform] if platform else []
        if _succeeds("pull", "--quiet", *only, reference):
            return self.api.images.get(reference)
        raise ImageNotFoundError(
            f"There is no image {reference} on this engine, and it could not be pulled.",
            "`docker image ls` lists the images; `python build.py build` builds one.",
        )

    def local_image(self, reference: str) -> Image:
        """Return an image of the engine, by name or id, without pulling it. Raises ImageNotFoundError."""
        try:
            return self.api.images.get(reference)
        except docker.errors.APIError as error:
            said = "" if isinstance(error, docker.errors.ImageNotFound) else f": {error.explanation}"
            raise ImageNotFoundError(
                f"There is no image {reference} on this engine{said}.",
                "`docker image ls` lists the images; `python build.py build` builds one.",
            ) from None

    def run(self, image: str, arguments: list[str], **options: Any) -> tuple[int, str, str]:
        """Run a container to its end and remove it; return its exit code, standard output and standard error."""
        container = self.api.containers.create(image, arguments, detach=True, **options)
        try:
            container.start()
            code = int(container.wait(timeout=120)["StatusCode"])
            output = container.logs(stdout=True, stderr=False).decode(errors="replace")
            return code, output, container.logs(stdout=False, stderr=True).decode(errors="replace")
        finally:
            container.remove(force=True, v=True)

    def tag(self, image: str, references: Iterable[str]) -> None:
        """Give an image of the engine further names."""
        for reference in references:
            repository, _, tag = reference.rpartition(":")
            self.api.images.get(image).tag(repository, tag)

    def untag(self, reference: str) -> None:
        """Remove a name from an image; with its last name, the image is removed."""
        try:
            self.api.images.remove(reference, noprune=False)
        except docker.errors.DockerException:
            pass  # it is gone, or in use: nobody has to act

    @contextmanager
    def named(self, image: Image, reference: str) -> Iterator[None]:
        """Give an image a further name in the block; afterwards the name means what it meant before."""
        try:
            former: Image | None = self.api.images.get(reference)
        except docker.errors.ImageNotFound:
            former = None
        if former is not None and former.id == image.id:
            yield
            return
        self.tag(str(image.id), [reference])
        try:
            yield
        finally:
            if former is None:
                self.untag(reference)
            else:
                self.tag(str(former.id), [reference])

    def push(self, name: str, environment: Mapping[str, str]) -> str:
        """Push one name, ``repository:tag``, with the docker client, and return the image's digest.

        The client shows the progress. ``environment`` is for the client alone: where it finds the login. An image that
        was also pulled from the repository may have several digests; then this is one of them. Raises PushError with
        the registry's answer.
        """
        try:
            # Its progress goes to standard error: standard output is for the answer.
            done = subprocess.run(
                ["docker", "push", name],
                env={**os.environ, **environment},
                stdout=sys.stderr,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
            )
        except FileNotFoundError:
            raise no_client() from None
        if done.returncode:
            raise diagnose_push(done.stderr, name)
        pushed = parse(name)
        digests = map(parse, self.api.images.get(name).attrs.get("RepoDigests") or ())
        return next((item.digest for item in digests if replace(item, digest="", tag=pushed.tag) == pushed), "")


def _succeeds(*arguments: str) -> bool:
    """Run the docker client, and return whether it ended with 0."""
    return subprocess.run(["docker", *arguments], capture_output=True).returncode == 0


def _shown(lines: Iterable[str], progress: str) -> Iterator[str]:
    """Yield the lines, and show them as the mode asks."""
    condensed = Progress()
    for line in lines:
        line = line.rstrip("\n")
        if progress in ("plain", "auto"):
            for shown in [line] if progress == "plain" else condensed.feed(line):
                print(shown, file=sys.stderr, flush=True)
        yield line
