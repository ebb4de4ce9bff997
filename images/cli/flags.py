"""Flags that several commands share, and what they stand for: a request, options, the images and their names."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from airflow_ecs_executor.aws.stack import StackError, StackOutputs, read_stack

from images import inputs, naming
from images.console import say
from images.errors import AwsError, InputError, RequestError
from images.matrix import Matrix
from images.requirements import (
    Requirements,
    airflows_constraints,
    check_airflow,
    read_requirements,
    remark_on_constraints,
)
from images.resolve import Request, check_combination, resolve
from images.spec import Constraints, ImageSpec, Options


def add_selection(parser: argparse.ArgumentParser, matrix: Matrix) -> None:
    """Add the flags that choose images of the matrix."""
    group = parser.add_argument_group("which images")
    group.add_argument(
        "--airflow", metavar="VERSION",
        help="release, prefix (3, 2.10) or latest; default: the newest that runs on --python",
    )  # fmt: skip
    group.add_argument(
        "--python", metavar="X.Y", help=f"one of {', '.join(matrix.pythons)}; default: the release's default"
    )
    group.add_argument("--dags", metavar="MODE", help=f"{', '.join(matrix.dag_modes)}; default: {matrix.defaults.dags}")
    group.add_argument(
        "--base", metavar="BASE",
        help=f"{', '.join(matrix.bases)} or the name of an image with Airflow; default: {matrix.defaults.base}",
    )  # fmt: skip
    group.add_argument("--base-digest", default="", metavar="sha256:...", help="pin the base image to this digest")
    group.add_argument("--all", dest="every", action="store_true", help="select every image that the flags allow")
    group.add_argument("--select", metavar="PATTERN", help="select images by identifier, such as '2.10.5-python3.*-s3'")


def add_content(parser: argparse.ArgumentParser, matrix: Matrix) -> None:
    """Add the flags for what the images contain."""
    group = parser.add_argument_group("what they contain")
    group.add_argument(
        "--s3-uri", type=str.strip, default="", metavar="URI",
        help="mode s3: default of S3_URI, which a task definition may set, too",
    )  # fmt: skip
    group.add_argument("--dag-path", type=Path, metavar="DIR", help="mode local: folder of DAGs")
    group.add_argument(
        "--plugins-s3-uri", type=str.strip, default="", metavar="URI",
        help="mode s3: plugins for AIRFLOW_HOME/plugins",
    )  # fmt: skip
    group.add_argument(
        "--config-s3-uri", type=str.strip, default="", metavar="URI",
        help="mode s3: Python configuration for AIRFLOW_HOME/config",
    )  # fmt: skip
    group.add_argument("--plugins-path", type=Path, metavar="DIR", help="mode local: plugins for AIRFLOW_HOME/plugins")
    group.add_argument(
        "--config-path", type=Path, metavar="DIR", help="mode local: Python configuration for AIRFLOW_HOME/config"
    )
    group.add_argument(
        "--container-dag-path", default=matrix.defaults.container_dag_path, metavar="PATH",
        help="DAG folder in the container; default: %(default)s",
    )  # fmt: skip
    group.add_argument("--requirements", type=Path, metavar="FILE", help="Python packages to install")
    group.add_argument(
        "--constraints",
        metavar="MODE|FILE",
        help="what holds the requirements: image (default; the constraints of the image), relaxed (the same, but "
        "versions in the requirements win), none, or a constraints file",
    )
    group.add_argument(
        "--apt-packages", nargs="+", action="extend", default=[], metavar="NAME", help="Debian packages to install"
    )
    group.add_argument("--env", action="append", default=[], metavar="K=V", help="environment variable; repeatable")
    group.add_argument("--airflow-cfg", type=Path, metavar="FILE", help="airflow.cfg for AIRFLOW_HOME")
    group.add_argument("--region", default="", help="default AWS region (AWS_DEFAULT_REGION)")
    group.add_argument("--no-aws-cli", dest="aws_cli", action="store_false", help="leave the AWS CLI out")
    group.add_argument("--label", action="append", default=[], metavar="K=V", help="label; repeatable")
    group.add_argument(
        "--insecure-bake-aws-credentials", action="store_true",
        help="INSECURE: write AWS_ACCESS_KEY_ID and so on from this environment into the image, where everybody who "
        "can pull it can read them; use a task role instead",
    )  # fmt: skip


def add_naming(parser: argparse.ArgumentParser, matrix: Matrix) -> None:
    """Add the flags for the images' names."""
    group = parser.add_argument_group("names")
    group.add_argument(
        "--repository", default=matrix.defaults.repository,
        help="repository of the computed names; default: %(default)s",
    )  # fmt: skip
    group.add_argument(
        "--tag", action="append", default=[], metavar="REPO:TAG",
        help="use this name instead of the computed ones; repeatable",
    )  # fmt: skip


def add_stack(parser: argparse._ActionsContainer, use: str) -> None:
    """Add the flags that name a stack of deploy/template.yaml; ``use``: what its outputs are used for (help text)."""
    parser.add_argument("--stack", metavar="NAME", help=use)
    parser.add_argument("--region", default="", help="AWS region; default: as configured for the AWS SDK")


def stack_of(name: str, region: str) -> StackOutputs:
    """Return the outputs of a stack; ``region`` may be empty. Raises AwsError if they cannot be read."""
    try:
        return read_stack(name, region or None)
    except StackError as error:
        raise AwsError(error.message, error.remedy) from None


@dataclass(frozen=True)
class Naming:
    """The flags for the images' names: ``tags`` are names given in full, instead of those in the repository."""

    repository: str
    tags: tuple[str, ...] = ()

    @classmethod
    def of(cls, parsed: argparse.Namespace) -> Naming:
        """Return the flags, checked."""
        for tag in parsed.tag:
            inputs.check_tag(tag)
        if not parsed.tag:
            inputs.check_repository(parsed.repository)
        return cls(parsed.repository, tuple(parsed.tag))

    def references(self, matrix: Matrix, spec: ImageSpec) -> tuple[str, ...]:
        """Return the full names of an image, that of its identifier first."""
        return self.tags or tuple(f"{self.repository}:{tag}" for tag in naming.tags(matrix, spec))


def request_of(parsed: argparse.Namespace) -> Request:
    """Return the flags that choose images, checked."""
    inputs.check_base(parsed.base if parsed.base is not None else "default", parsed.base_digest)
    for name in ("airflow", "python", "dags", "select"):
        if getattr(parsed, name) == "":
            raise RequestError(
                f"--{name} is empty.", "Is a variable of your script not set? Without the flag: the default."
            )
    return Request(
        parsed.airflow, parsed.python, parsed.dags, parsed.base, parsed.base_digest, parsed.every, parsed.select
    )


def options_of(parsed: argparse.Namespace) -> Options:
    """Return the flags for what the images contain. Raises a BuildToolError for the first that cannot be used."""
    requirements = read_requirements(parsed.requirements) if parsed.requirements else None
    constraints, constraints_file = _constraints(parsed.constraints, requirements)
    options = Options(
        container_dag_path=parsed.container_dag_path.rstrip("/") or "/",
        s3_uri=parsed.s3_uri,
        plugins_s3_uri=parsed.plugins_s3_uri,
        config_s3_uri=parsed.config_s3_uri,
        dag_path=parsed.dag_path,
        plugins_path=parsed.plugins_path,
        config_path=parsed.config_path,
        requirements=requirements,
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


def _constraints(given: str | None, requirements: Requirements | None) -> tuple[Constraints, Path | None]:
    """Return what ``--constraints`` stands for, and the file if it is one. Raises a BuildToolError."""
    if given and requirements is None:
        raise RequestError("--constraints requires --requirements.", "Add --requirements FILE.")
    if given is None or requirements is None:
        return Constraints.IMAGE, None
    if given in (mode.value for mode in Constraints if mode is not Constraints.FILE):
        return Constraints(given), None
    if airflows_constraints(given):
        requirements.airflow_constraints.append(given)
        return Constraints.IMAGE, None
    if "://" in given:
        raise RequestError(
            f"--constraints {given}: constraints at a URL are not read.",
            f"Download them, `curl -fsSLo constraints.txt {given}`, and give --constraints constraints.txt",
        )
    inputs.check_constraints(Path(given))
    return Constraints.FILE, Path(given)


def resolved(matrix: Matrix, request: Request, options: Options, tags: Sequence[str] = ()) -> tuple[ImageSpec, ...]:
    """Return the images that the flags stand for; checks everything that can be checked without Docker."""
    resolution = resolve(matrix, request, options)
    specs = resolution.specs
    check_combination(request, options, specs, tags)
    if options.requirements:
        if not options.requirements.lines:
            raise InputError("The file of --requirements has no requirements.", "Leave the flag out.")
        for spec in specs:
            check_airflow(options.requirements.lines, spec.airflow, spec.python)
        for address in options.requirements.airflow_constraints:
            for airflow, python in dict.fromkeys((spec.airflow, spec.python) for spec in specs):
                say(remark_on_constraints(address, airflow, python))
    if resolution.remark:
        say(resolution.remark)
    for name, path in (("plugins", options.plugins_path), ("config", options.config_path)):
        beside = options.dag_path.resolve().parent / name if options.dag_path else None
        if beside and beside.is_dir() and path is None:
            say(f"note: there is a folder {name}/ beside the DAGs; --{name}-path {beside} copies it, too")
    return specs
