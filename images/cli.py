"""The command line of ``build.py``: flags to a request, sub-commands, and errors to exit codes."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from docker.errors import DockerException

from images import bake, inputs
from images.context import build_wheel, dockerfile_name, write_context
from images.engine import PROGRESS_MODES, Engine, disk_full, refused
from images.errors import BuildToolError, InputError, RequestError
from images.matrix import Matrix, load_matrix
from images.naming import references
from images.pipeline import Publication, build, credential_arguments, say
from images.render import render
from images.requirements import check_airflow, read_requirements
from images.resolve import Request, Resolution, check_combination, resolve
from images.spec import Constraints, ImageSpec, Options
from images.verify import require_verified, table, verify

EPILOG = """\
`python build.py --python 3.8 --dags s3` builds one image; `python build.py build --help` lists all flags.

exit codes: 2 impossible request, 3 matrix.yaml, 4 input file or folder, 5 a secret would be baked in,
6 missing Python packages, 7 requirements, 10 no Docker engine, 11 no Buildx, 12 base image, 13 build step,
14 verification, 15 push, 16 disk full, 17 no such image, 18 the checked image does not fit, 19 whether it fits is not
known, 20 AWS, 130 interrupted
"""


def run(arguments: Sequence[str]) -> int:
    """Run the command line; returns the exit code."""
    try:
        matrix = load_matrix()
        parsed = _parser(matrix).parse_args(_with_default_command(list(arguments)))
        command: Callable[[Matrix, argparse.Namespace], None] = parsed.command
        command(matrix, parsed)
        sys.stdout.flush()  # here, where a reader that has gone, or a full disk, is still handled
    except BuildToolError as error:
        print(f"build.py: error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\nbuild.py: interrupted; nothing was tagged or pushed after this point.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of `build.py render | head` has gone
        _discard_output()
        return 0
    except (OSError, DockerException) as error:
        failure = disk_full(error) or refused(error) or InputError(_said(error))
        print(f"build.py: error: {failure}", file=sys.stderr)
        _discard_output()
        return failure.exit_code
    return 0


def _discard_output() -> None:
    """What could not be written is not tried again when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _said(error: Exception) -> str:
    name, reason = getattr(error, "filename", None), getattr(error, "strerror", None)
    return f"{name}: {reason}." if name else f"{reason or error}."


_COMMANDS = ("build", "explain", "render", "matrix", "tags", "verify", "check")


def _with_default_command(arguments: list[str]) -> list[str]:
    """`build` is the sub-command when none is named."""
    if arguments and (arguments[0] in _COMMANDS or arguments[0] in ("-h", "--help")):
        return arguments
    if arguments and not arguments[0].startswith("-"):
        raise RequestError(f"Unknown command {arguments[0]!r}.", f"Commands: {', '.join(_COMMANDS)}; see --help.")
    return ["build", *arguments]


class _Parser(argparse.ArgumentParser):
    """Errors in one form with all others of the build tool."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise RequestError(message[0].upper() + message[1:] + ".", f"See: python {self.prog} --help")


def _parser(matrix: Matrix) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="build.py",
        description="Build Airflow worker images for Amazon ECS. `build` is the default command.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, command: Callable[[Matrix, argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        child = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        child.set_defaults(command=command)
        return child

    child = add("build", _build, "build, verify, tag and, on request, push images")
    _add_selection(child, matrix)
    _add_content(child, matrix)
    _add_building(child, matrix)
    child = add("explain", _explain, "say which images the flags stand for, without building")
    _add_selection(child, matrix)
    _add_content(child, matrix)
    _add_naming(child, matrix)
    child.add_argument("--json", action="store_true", help="as JSON")
    child = add("render", _render, "print the Dockerfile, or write a folder that `docker build` alone can build")
    _add_selection(child, matrix)
    _add_content(child, matrix)
    child.add_argument("-o", "--output", type=Path, metavar="DIR", help="write the build context to this new folder")
    child = add("matrix", _matrix, "list the images of the matrix")
    _add_selection(child, matrix)
    _add_content(child, matrix)
    child.add_argument("--json", action="store_true", help="as a GitHub Actions matrix")
    child = add("tags", _tags, "print the tags of the images")
    _add_selection(child, matrix)
    _add_content(child, matrix)
    _add_naming(child, matrix)
    child = add("verify", _verify, "run an image and check it against its labels; look for secrets in it")
    child.add_argument("image", help="image reference; pulled when it is not on the engine")
    child.add_argument("--platform", help="platform of the image when it is not the engine's own")
    child.add_argument("--json", action="store_true", help="as JSON")
    child = add("check", _check, "compare an image, unpulled, with the Airflow and the Python of a scheduler")
    child.add_argument(
        "target", metavar="IMAGE|TASK_DEFINITION", help="an image with its tag, or a family, family:revision or ARN"
    )
    child.add_argument("--airflow", metavar="VERSION", required=True, help="the scheduler's Airflow, such as 3.3.2")
    child.add_argument("--python", metavar="X.Y", required=True, help="the scheduler's Python, such as 3.12")
    child.add_argument(
        "--platform", metavar="OS/ARCH", help=f"{', '.join(matrix.platforms)}; of a task definition: its own"
    )
    child.add_argument("--container", metavar="NAME", help="the container that runs the tasks, where there are several")
    child.add_argument("--region", help="AWS region of the task definition; default: as configured for the AWS SDK")
    child.add_argument("--json", action="store_true", help="as JSON")
    return parser


def _add_selection(parser: argparse.ArgumentParser, matrix: Matrix) -> None:
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


def _add_content(parser: argparse.ArgumentParser, matrix: Matrix) -> None:
    group = parser.add_argument_group("what is in them")
    group.add_argument(
        "--s3-uri", default="", metavar="URI", help="mode s3: default S3_URI; a task definition may set it too"
    )
    group.add_argument("--dag-path", type=Path, metavar="DIR", help="mode local: the folder of DAGs")
    group.add_argument("--plugins-s3-uri", default="", metavar="URI", help="mode s3: plugins, to AIRFLOW_HOME/plugins")
    group.add_argument(
        "--config-s3-uri", default="", metavar="URI", help="mode s3: Python config, to AIRFLOW_HOME/config"
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


def _add_naming(parser: argparse.ArgumentParser, matrix: Matrix) -> None:
    group = parser.add_argument_group("names")
    group.add_argument("--repository", default=matrix.defaults.repository, help="default: %(default)s")
    group.add_argument(
        "--tag", action="append", default=[], metavar="REPO:TAG", help="instead of the computed tags; repeatable"
    )


def _add_building(parser: argparse.ArgumentParser, matrix: Matrix) -> None:
    _add_naming(parser, matrix)
    group = parser.add_argument_group("how they are built")
    group.add_argument(
        "--platform", action="append", default=[], metavar="OS/ARCH",
        help=f"{', '.join(matrix.platforms)}; repeatable; default: the engine's",
    )  # fmt: skip
    group.add_argument("--push", action="store_true", help="push the images after they were verified")
    group.add_argument("--ca-bundle", type=Path, metavar="FILE", help="company CA for package downloads (build secret)")
    group.add_argument("--pip-config", type=Path, metavar="FILE", help="pip.conf with private indexes (build secret)")
    group.add_argument("--cache-from", action="append", default=[], metavar="CACHE", help="as of `docker buildx build`")
    group.add_argument("--cache-to", action="append", default=[], metavar="CACHE", help="as of `docker buildx build`")
    group.add_argument(
        "--sbom", nargs="?", const="true", default="", metavar="PARAMETERS", help="attest an SBOM; needs --push"
    )
    group.add_argument(
        "--provenance",
        nargs="?",
        const="true",
        default="",
        metavar="PARAMETERS",
        help="attest provenance; needs --push",
    )
    group.add_argument("--pull", action="store_true", help="look for a newer base image")
    group.add_argument("--no-cache", action="store_true", help="build every step again")
    group.add_argument("--dry-run", action="store_true", help="show Dockerfiles and bake file; needs no Docker")
    group.add_argument("--progress", choices=PROGRESS_MODES, default="auto", help="default: a line a step")


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


def _resolved(matrix: Matrix, parsed: argparse.Namespace) -> Resolution:
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


def _references(matrix: Matrix, spec: ImageSpec, parsed: argparse.Namespace) -> tuple[str, ...]:
    if parsed.tag:
        for tag in parsed.tag:
            inputs.check_tag(tag)
        return tuple(parsed.tag)
    inputs.check_repository(parsed.repository)
    return references(matrix, spec, parsed.repository)


def _build(matrix: Matrix, parsed: argparse.Namespace) -> None:
    resolution = _resolved(matrix, parsed)
    specs = resolution.specs
    named = {spec.identifier: _references(matrix, spec, parsed) for spec in specs}
    if (parsed.sbom or parsed.provenance) and not parsed.push:
        raise RequestError("--sbom and --provenance are attached when an image is pushed.", "Add --push.")
    platforms = tuple(dict.fromkeys(name for text in parsed.platform for name in text.split(",")))
    unknown = [name for name in platforms if name not in matrix.platforms]
    if unknown:
        raise RequestError(f"Unknown platform {unknown[0]!r}.", f"--platform takes: {', '.join(matrix.platforms)}")
    if len(platforms) > 1 and not parsed.push:
        raise RequestError(
            "This engine holds one platform of an image, so that several can only be pushed.",
            "Add --push, or build one platform at a time.",
        )
    for path, flag in ((parsed.ca_bundle, "--ca-bundle"), (parsed.pip_config, "--pip-config")):
        if path:
            inputs.check_file(path, flag)
    options = bake.BakeOptions(
        platforms=platforms,
        ca_bundle=parsed.ca_bundle and parsed.ca_bundle.resolve(),
        pip_config=parsed.pip_config and parsed.pip_config.resolve(),
        cache_from=tuple(parsed.cache_from),
        cache_to=tuple(parsed.cache_to),
        sbom=parsed.sbom,
        provenance=parsed.provenance,
        no_cache=parsed.no_cache,
        pull=parsed.pull,
    )
    for spec in specs:
        versions = f"Airflow {spec.airflow}, Python {spec.python}, DAGs {spec.dags}"
        say(f"{spec.identifier}: {versions}, from {spec.base_reference}")
    if parsed.insecure_bake_aws_credentials:
        credential_arguments()
        say("WARNING: AWS credentials are written into the image; anybody who can pull it can read and use them")
    if parsed.dry_run:
        print("\n".join(_dockerfiles(specs)))
        print("# docker-bake.json")
        print(json.dumps(bake.bake_file(specs, named, options, Path("CONTEXT"), parsed.push), indent=2))
        return
    engine = Engine()
    engine.require_buildx()
    if not platforms and engine.architecture() == "arm64":
        say(
            "note: this builds for linux/arm64, and ECS runs X86_64 unless the task definition's runtimePlatform says "
            "ARM64; --platform linux/amd64 builds for X86_64"
        )
    build(engine, specs, options, Publication(named, parsed.push), parsed.progress)


def _dockerfiles(specs: Sequence[ImageSpec]) -> list[str]:
    """The Dockerfiles of images, to be shown."""
    with tempfile.TemporaryDirectory(prefix="airflow-ecs-build-") as folder:
        wheel = build_wheel(Path(folder))
    return [render(spec, wheel) for spec in specs]


def _explain(matrix: Matrix, parsed: argparse.Namespace) -> None:
    resolution = _resolved(matrix, parsed)
    found = [
        {
            "identifier": spec.identifier,
            "airflow": spec.airflow,
            "python": spec.python,
            "dags": spec.dags,
            "base": spec.base_reference,
            "tags": list(_references(matrix, spec, parsed)),
        }
        for spec in resolution.specs
    ]
    if parsed.json:
        print(json.dumps(found, indent=2))
        return
    for image in found:
        print(f"{image['identifier']}: Airflow {image['airflow']} on Python {image['python']}, DAGs {image['dags']}")
        print(f"  from {image['base']}")
        print("  tags " + " ".join(image["tags"]))


def _render(matrix: Matrix, parsed: argparse.Namespace) -> None:
    specs = _resolved(matrix, parsed).specs
    if len(specs) > 1 and parsed.output:
        raise RequestError(f"render -o writes one image's context, but {len(specs)} are selected.")
    if parsed.output:
        if parsed.output.exists() and (not parsed.output.is_dir() or any(parsed.output.iterdir())):
            raise InputError(f"{parsed.output} exists and is not an empty folder.", "Name a new folder.")
        for source in (specs[0].options.dag_path, specs[0].options.plugins_path, specs[0].options.config_path):
            if source and parsed.output.resolve().is_relative_to(source.resolve()):
                raise InputError(f"{parsed.output} is inside {source}, which is copied to it.", "Name another folder.")
        parsed.output.mkdir(parents=True, exist_ok=True)
        try:
            write_context(parsed.output, specs, specs[0].options)
            (parsed.output / dockerfile_name(specs[0])).rename(parsed.output / "Dockerfile")
        except BaseException:
            shutil.rmtree(parsed.output, ignore_errors=True)
            raise
        say(f"wrote {parsed.output}: docker build {parsed.output}")
        return
    sys.stdout.write("".join(_dockerfiles(specs)))


def _every(matrix: Matrix, parsed: argparse.Namespace) -> Resolution:
    """For listing: all images that the flags allow."""
    parsed.every = True
    return _resolved(matrix, parsed)


def _matrix(matrix: Matrix, parsed: argparse.Namespace) -> None:
    specs = _every(matrix, parsed).specs
    if parsed.json:
        include = [
            {"identifier": s.identifier, "airflow": s.airflow, "python": s.python, "dags": s.dags} for s in specs
        ]
        print(json.dumps({"include": include}))
        return
    for spec in specs:
        print(spec.identifier)


def _tags(matrix: Matrix, parsed: argparse.Namespace) -> None:
    for spec in _resolved(matrix, parsed).specs:
        for reference in _references(matrix, spec, parsed):
            print(reference)


def _verify(matrix: Matrix, parsed: argparse.Namespace) -> None:
    if not parsed.image.strip():
        raise RequestError("verify needs the name of an image.", "For example: airflow-ecs-worker:2-s3")
    engine = Engine()
    engine.require()
    checks = verify(engine, parsed.image, parsed.platform)
    if parsed.json:
        print(json.dumps([vars(check) for check in checks], indent=2))
    elif all(check.passed for check in checks):
        print(table(checks))
    require_verified(parsed.image, checks)


def _check(matrix: Matrix, parsed: argparse.Namespace) -> None:
    # Here: no other command needs the AWS SDK and the executor's modules.
    from airflow_ecs_executor.image_check.comparison import Versions

    from images import check

    try:
        versions = Versions.of(parsed.airflow, parsed.python)
    except ValueError as error:
        raise RequestError(f"{error}.", "For example: --airflow 3.3.2 --python 3.12") from None
    if parsed.platform and parsed.platform not in matrix.platforms:
        raise RequestError(f"Unknown platform {parsed.platform!r}.", f"--platform takes: {', '.join(matrix.platforms)}")
    platform = check.platform_of(parsed.platform) if parsed.platform else None
    target = check.target_of(parsed.target, parsed.container, parsed.region, platform)
    report = check.report_on(target, versions, Engine())
    check.say(target, report, versions, as_a_document=parsed.json)
