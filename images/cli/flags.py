"""Flags that several commands share, and what they stand for: a request, options, the images and their names."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from images import inputs
from images.console import say
from images.errors import AwsError, InputError, RequestError
from images.matrix import Matrix
from images.naming import references
from images.requirements import check_airflow, read_requirements
from images.resolve import Request, Resolution, check_combination, resolve
from images.spec import Constraints, ImageSpec, Options

if TYPE_CHECKING:
    from airflow_ecs_executor.aws.stack import StackOutputs


def add_selection(parser: argparse.ArgumentParser, matrix: Matrix) -> None:
    """Add the flags that choose images of the matrix."""
    group = parser.add_argument_group("which images")
    group.add_argument(
        "--airflow", metavar="VERSION", help="release, prefix (3, 2.10) or latest; default: the newest that fits"
    )
    group.add_argument(
        "--python", metavar="X.Y", help=f"one of {', '.join(matrix.pythons)}; default: the release's own"
    )
    group.add_argument("--dags", metavar="MODE", help=f"{', '.join(matrix.dag_modes)}; default: {matrix.defaults.dags}")
    group.add_argument(
        "--base",
        metavar="BASE",
        help=f"{', '.join(matrix.bases)} or an image with Airflow; default: {matrix.defaults.base}",
    )
    group.add_argument("--base-digest", default="", metavar="sha256:...", help="pin the base image to this digest")
    group.add_argument(
        "--all", dest="every", action="store_true", help="every image of the matrix that the flags allow"
    )
    group.add_argument("--select", metavar="PATTERN", help="images by identifier, such as '2.10.5-python3.*-s3'")


def add_content(parser: argparse.ArgumentParser, matrix: Matrix) -> None:
    """Add the flags for what goes into the images."""
    group = parser.add_argument_group("what is in them")
    group.add_argument(
        "--s3-uri",
        type=str.strip,
        default="",
        metavar="URI",
        help="mode s3: default S3_URI; a task definition may set it too",
    )
    group.add_argument("--dag-path", type=Path, metavar="DIR", help="mode local: the folder of DAGs")
    group.add_argument(
        "--plugins-s3-uri", type=str.strip, default="", metavar="URI", help="mode s3: plugins, to AIRFLOW_HOME/plugins"
    )
    group.add_argument(
        "--config-s3-uri",
        type=str.strip,
        default="",
        metavar="URI",
        help="mode s3: Python config, to AIRFLOW_HOME/config",
    )
    group.add_argument("--plugins-path", type=Path, metavar="DIR", help="mode local: plugins, to AIRFLOW_HOME/plugins")
    group.add_argument(
        "--config-path", type=Path, metavar="DIR", help="mode local: Python config, to AIRFLOW_HOME/config"
    )
    group.add_argument(
        "--container-dag-path", default=matrix.defaults.container_dag_path, metavar="PATH",
        help="DAG folder in the container; default: %(default)s",
    )  # fmt: skip
    group.add_argument("--requirements", type=Path, metavar="FILE", help="Python packages to install")
    group.add_argument(
        "--constraints", metavar="FILE|none", help="what holds the requirements; default: the image's own constraints"
    )
    group.add_argument(
        "--apt-packages", nargs="+", action="extend", default=[], metavar="NAME", help="Debian packages to install"
    )
    group.add_argument("--env", action="append", default=[], metavar="K=V", help="environment variable; repeatable")
    group.add_argument("--airflow-cfg", type=Path, metavar="FILE", help="airflow.cfg of the image")
    group.add_argument("--region", default="", help="default AWS region (AWS_DEFAULT_REGION)")
    group.add_argument("--no-aws-cli", dest="aws_cli", action="store_false", help="leave the AWS CLI out")
    group.add_argument("--label", action="append", default=[], metavar="K=V", help="label; repeatable")
    group.add_argument(
        "--insecure-bake-aws-credentials", action="store_true",
        help="INSECURE: write AWS_ACCESS_KEY_ID and so on of this environment into the image, readable by anybody who "
        "can pull it; use a task role instead",
    )  # fmt: skip


def add_naming(parser: argparse.ArgumentParser, matrix: Matrix) -> None:
    """Add the flags for the images' names."""
    group = parser.add_argument_group("names")
    group.add_argument("--repository", default=matrix.defaults.repository, help="default: %(default)s")
    group.add_argument(
        "--tag", action="append", default=[], metavar="REPO:TAG", help="instead of the computed tags; repeatable"
    )


def add_stack(parser: argparse._ActionsContainer, use: str) -> None:
    """Add the flags that name a stack of deploy/template.yaml; ``use``: what its outputs are used for (help text)."""
    parser.add_argument("--stack", metavar="NAME", help=use)
    parser.add_argument("--region", default="", help="AWS region; default: as configured for the AWS SDK")


def stack_of(name: str, region: str) -> StackOutputs:
    """Return the outputs of a stack; ``region`` may be empty.

    Raises:
        AwsError: The stack does not exist, or its outputs cannot be read.
    """
    from airflow_ecs_executor.aws.stack import StackError, read_stack  # here: building needs no AWS SDK

    try:
        return read_stack(name, region or None)
    except StackError as error:
        raise AwsError(error.message, error.remedy) from None


def _request(parsed: argparse.Namespace) -> Request:
    inputs.check_base(parsed.base if parsed.base is not None else "default", parsed.base_digest)
    for name in ("airflow", "python", "dags", "select"):
        if getattr(parsed, name) == "":
            raise RequestError(
                f"--{name} is empty.", "Is a variable of your script not set? Without the flag: the default."
            )
    return Request(
        parsed.airflow, parsed.python, parsed.dags, parsed.base, parsed.base_digest, parsed.every, parsed.select
    )


def _options(parsed: argparse.Namespace) -> Options:
    """The content flags, checked.

    :raises BuildToolError: the first flag that cannot be used, and why.
    """
    constraints, constraints_file = Constraints.IMAGE, None
    if parsed.constraints == "none":
        constraints = Constraints.NONE
    elif parsed.constraints:
        constraints, constraints_file = Constraints.FILE, Path(parsed.constraints)
        inputs.check_constraints(constraints_file)
    if parsed.constraints and not parsed.requirements:
        raise RequestError("--constraints holds requirements back, and there are none.", "Add --requirements FILE.")
    options = Options(
        container_dag_path=parsed.container_dag_path.rstrip("/") or "/",
        s3_uri=parsed.s3_uri,
        plugins_s3_uri=parsed.plugins_s3_uri,
        config_s3_uri=parsed.config_s3_uri,
        dag_path=parsed.dag_path,
        plugins_path=parsed.plugins_path,
        config_path=parsed.config_path,
        requirements=parsed.requirements,
        constraints=constraints,
        constraints_file=constraints_file,
        apt_packages=tuple(sorted({name for text in parsed.apt_packages for name in text.replace(",", " ").split()})),
        env=tuple(inputs.assignment(text, "--env") for text in parsed.env),
        airflow_cfg=parsed.airflow_cfg,
        region=parsed.region,
        aws_cli=parsed.aws_cli,
        labels=tuple(inputs.assignment(text, "--label") for text in parsed.label),
        insecure_aws_credentials=parsed.insecure_bake_aws_credentials,
    )
    inputs.check_env(options.env)
    inputs.check_labels(options.labels)
    inputs.check_region(options.region)
    inputs.check_container_path(options.container_dag_path)
    inputs.check_apt_packages(options.apt_packages)
    for uri, flag in (
        (options.s3_uri, "--s3-uri"),
        (options.plugins_s3_uri, "--plugins-s3-uri"),
        (options.config_s3_uri, "--config-s3-uri"),
    ):
        inputs.check_s3_uri(uri, flag)
    for folder, flag in (
        (options.dag_path, "--dag-path"),
        (options.plugins_path, "--plugins-path"),
        (options.config_path, "--config-path"),
    ):
        if folder:
            inputs.check_folder(folder, flag)
    if options.airflow_cfg:
        inputs.check_airflow_cfg(options.airflow_cfg)
    return options


def resolved(matrix: Matrix, parsed: argparse.Namespace) -> Resolution:
    """The images that the flags stand for, with everything that can be checked without Docker checked."""
    request, options = _request(parsed), _options(parsed)
    resolution = resolve(matrix, request, options)
    check_combination(request, options, resolution.specs, getattr(parsed, "tag", []))
    if options.requirements:
        lines = read_requirements(options.requirements)
        if not lines:
            raise InputError(f"--requirements {options.requirements} holds no requirement.", "Leave the flag out.")
        for spec in resolution.specs:
            check_airflow(lines, spec.airflow, spec.python)
    for remark in resolution.remarks:
        say(remark)
    for name, flag in (("plugins", "plugins_path"), ("config", "config_path")):
        beside = options.dag_path.resolve().parent / name if options.dag_path else None
        if beside and beside.is_dir() and getattr(options, flag) is None:
            say(f"note: there is a folder {name}/ beside the DAGs; --{name}-path {beside} takes it along")
    return resolution


def references_of(matrix: Matrix, spec: ImageSpec, parsed: argparse.Namespace) -> tuple[str, ...]:
    """The names of an image: those of ``--tag``, or the computed ones.

    :raises RequestError: a name that cannot be one.
    """
    if parsed.tag:
        for tag in parsed.tag:
            inputs.check_tag(tag)
        return tuple(parsed.tag)
    inputs.check_repository(parsed.repository)
    return references(matrix, spec, parsed.repository)
