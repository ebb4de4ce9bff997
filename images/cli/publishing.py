"""The command that pushes an image of the engine to a registry: push."""

from __future__ import annotations

import argparse

from airflow_ecs_executor.image_check.comparison import repository_of
from airflow_ecs_executor.image_check.reference import parse

from images import inputs
from images.cli.flags import add_stack, stack_of
from images.cli.parser import Add
from images.engine import Engine
from images.errors import RequestError
from images.matrix import Matrix


def add_commands(add: Add, matrix: Matrix) -> None:
    """Add the command to the command line."""
    child = add("push", _push, "push an image of the engine to a registry; logs in to Amazon ECR by itself")
    child.add_argument("image", metavar="IMAGE", help="image of the engine, such as airflow-ecs-worker:2-s3")
    child.add_argument("--to", metavar="REPOSITORY", help="repository to push to; default: that of the image's name")
    add_stack(child, "push to RepositoryUri of this CloudFormation stack (deploy/template.yaml)")
    child.add_argument("--tag", help="tag to push; default: that of the image's name")
    child.add_argument(
        "--content-tag", action="store_true",
        help="push as TAG-<12 digits of the image's digest>: each content has its own tag, as immutable tags require",
    )  # fmt: skip
    child.add_argument("--create-repository", action="store_true", help="Amazon ECR: create it if it does not exist")
    child.add_argument("--dry-run", action="store_true", help="show what would be done, and change nothing")


def _push(matrix: Matrix, parsed: argparse.Namespace) -> None:
    # Here: other commands do not need the AWS SDK.
    from images.registry.push import publish, target_of

    for name, value in (("IMAGE", parsed.image), ("--to", parsed.to), ("--stack", parsed.stack), ("--tag", parsed.tag)):
        inputs.check_given(value, name)
    if parsed.to and parsed.stack:
        raise RequestError("--to and --stack both say where to push to.", "Leave one of them out.")
    inputs.check_region(parsed.region or "")
    if parsed.to:
        inputs.check_repository(parsed.to, "--to")
    if parsed.tag:
        inputs.check_tag_name(parsed.tag)
    engine = Engine()
    engine.require()
    image = engine.local_image(parsed.image)
    to = parsed.to or (stack_of(parsed.stack, parsed.region).repository_uri if parsed.stack else "")
    target = target_of(
        parsed.image, tuple(image.tags), str(image.id), to=to, tag=parsed.tag or "", content_tag=parsed.content_tag
    )
    repository, place = repository_of(target), parse(target).ecr
    if parsed.create_repository and place is None:
        raise RequestError(
            f"--create-repository creates private repositories in Amazon ECR, and {repository} is elsewhere.",
            "Leave it out: other registries create repositories by themselves, or have their own ways.",
        )
    if parsed.region and place is not None and place[1] != parsed.region:
        raise RequestError(f"{repository} is in {place[1]}, not in {parsed.region}.", "Leave --region out.")
    digest = publish(engine, image, target, create=parsed.create_repository, dry_run=parsed.dry_run)
    print(target)
    if digest:
        print(f"{repository}@{digest}")
