"""What is left of tasks: nothing, however they or the local ECS end."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path

from local.aws_services.aws import LocalAws
from local.aws_services.stack import Stack
from local.errors import BuildError
from local.machine.image_build import docker_build
from local.machine.resources import RUN_LABEL, remove_abandoned, remove_run
from tests.local.conftest import Tasks, labelled, shell
from tests.paths import ROOT

LONG = shell("trap '' TERM; while :; do sleep 1; done")


def test_nothing_is_left_of_a_task_that_has_ended(tasks: Tasks) -> None:
    task = tasks.finish(tasks.container())
    assert tasks.left(task["taskArn"]) == []


def test_reset_removes_tasks_wherever_they_are(tasks: Tasks) -> None:
    family = tasks.define(tasks.container(LONG))
    arns = tasks.run(family, count=6)
    tasks.wait(arns[0], "RUNNING")
    arns += tasks.run(family, count=6)
    tasks.aws.ecs.reset()
    assert [left for arn in arns for left in tasks.left(arn)] == []


def test_an_ecs_that_was_killed_is_cleaned_up_after_by_the_next(tasks: Tasks) -> None:
    arn = tasks.start(tasks.container(LONG))
    assert len(tasks.left(arn)) == 2
    tasks.restart()
    assert tasks.left(arn) == []
    assert tasks.finish(tasks.container())["containers"][0]["exitCode"] == 0


class TestTheEndOfAStack:
    def test_that_was_kept_leaves_nothing_either_once_it_is_removed(self, tasks: Tasks) -> None:
        name = f"kept-{secrets.token_hex(4)}"
        with Stack(name) as stack:
            stack.keep()
        remove_abandoned(tasks.docker)  # what is kept has no owner
        label = f"{RUN_LABEL}={name}"
        assert labelled(tasks.docker, label)
        remove_run(tasks.docker, name)
        assert labelled(tasks.docker, label) == []

    def test_removes_running_tasks_and_images_built_for_it_or_pulled_from_its_registry(
        self, tasks: Tasks, small_image: str, tmp_path: Path
    ) -> None:
        (tmp_path / "Dockerfile").write_text(f"FROM {small_image}\n", encoding="utf-8")
        with Stack() as stack:
            name, failure = f"airflow-ecs-local-tests/built:{stack.run_id}", "It could not be built"
            docker_build(tmp_path, name, secret="ca", error=BuildError, failure=failure, labels=stack.labels)
            assert tasks.docker.images.list(name=name)
            aws = LocalAws(stack)
            other = Tasks(aws, aws.push(small_image))
            volume = [{"sourceVolume": "data", "containerPath": "/data"}]
            by_tag = other.container(LONG, mountPoints=volume)
            task = other.describe(other.start(by_tag, volumes=[{"name": "data"}]))
            digest = f"{other.image.rpartition(':')[0]}@{task['containers'][0]['imageDigest']}"
            other.start(other.container(LONG, image=digest))
            registry = f"{aws.registry}/"
            assert self.names_from(tasks, registry)
            family = other.define(by_tag, volumes=[{"name": "data"}])
            other.run(family, count=10)  # still being placed when the end comes
        assert labelled(tasks.docker, f"{RUN_LABEL}={stack.run_id}") == []
        assert self.names_from(tasks, registry) == []
        assert tasks.docker.images.get(small_image)

    def test_that_was_killed_is_made_up_for_by_the_next_run(
        self, tasks: Tasks, tmp_path: Path, small_image: str
    ) -> None:
        script = tmp_path / "run.py"
        script.write_text(
            f"""
import time
from local.aws_services.aws import LocalAws
from local.aws_services.stack import Stack
from tests.local.conftest import Tasks

with Stack() as stack:
    aws = LocalAws(stack)
    tasks = Tasks(aws, aws.push({small_image!r}))
    tasks.start(tasks.container({LONG!r}))
    print(stack.run_id, flush=True)
    time.sleep(60)
""",
            encoding="utf-8",
        )
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout is not None
            run_id = process.stdout.readline().strip()
            process.kill()
        assert run_id and labelled(tasks.docker, f"{RUN_LABEL}={run_id}")
        remove_abandoned(tasks.docker)  # what every run begins with
        assert labelled(tasks.docker, f"{RUN_LABEL}={run_id}") == []

    @staticmethod
    def names_from(tasks: Tasks, registry: str) -> list[str]:
        images = [image.attrs for image in tasks.docker.images.list()]
        names = [name for image in images for key in ("RepoTags", "RepoDigests") for name in image.get(key) or ()]
        return [name for name in names if name.startswith(registry)]
