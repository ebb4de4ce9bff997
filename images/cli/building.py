"""The commands that build images of the matrix, or list them: build, explain, render, matrix, tags."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from images import bake, inputs
from images.cli.flags import Naming, add_content, add_naming, add_selection, options_of, request_of, resolved
from images.cli.parser import Add
from images.console import say
from images.context import build_wheel, dockerfile_name, write_context
from images.engine import PROGRESS_MODES, Engine
from images.errors import InputError, RequestError
from images.matrix import Matrix
from images.pipeline import build, credential_arguments
from images.render import render
from images.spec import ImageSpec


def add_commands(add: Add, matrix: Matrix) -> None:
    """Add the commands to the command line."""
    build_images = add("build", _build, "build, verify, tag and, with --push, push images")
    explain = add("explain", _explain, "show which images the flags stand for, without building")
    rendered = add("render", _render, "print the Dockerfile, or write a folder that `docker build` alone can build")
    listed = add("matrix", _matrix, "list the images of the matrix")
    tags = add("tags", _tags, "print the tags of the images")
    for child in (build_images, explain, rendered, listed, tags):
        add_selection(child, matrix)
        add_content(child, matrix)
    for child in (build_images, explain, tags):
        add_naming(child, matrix)
    _add_building(build_images, matrix)
    explain.add_argument("--json", action="store_true", help="print JSON")
    rendered.add_argument("-o", "--output", type=Path, metavar="DIR", help="write the build context to this new folder")
    listed.add_argument("--json", action="store_true", help="print a GitHub Actions matrix")


def _add_building(parser: argparse.ArgumentParser, matrix: Matrix) -> None:
    group = parser.add_argument_group("how they are built")
    group.add_argument(
        "--platform", action="append", default=[], metavar="OS/ARCH",
        help=f"{', '.join(matrix.platforms)}; repeatable; default: the engine's",
    )  # fmt: skip
    group.add_argument("--push", action="store_true", help="push the images after they are verified")
    group.add_argument("--ca-bundle", type=Path, metavar="FILE", help="company CA for package downloads (build secret)")
    group.add_argument("--pip-config", type=Path, metavar="FILE", help="pip.conf with private indexes (build secret)")
    group.add_argument(
        "--cache-from", action="append", default=[], metavar="CACHE", help="as in `docker buildx build`; repeatable"
    )
    group.add_argument(
        "--cache-to", action="append", default=[], metavar="CACHE", help="as in `docker buildx build`; repeatable"
    )
    for flag, what in (("--sbom", "an SBOM"), ("--provenance", "provenance")):
        group.add_argument(
            flag, nargs="?", const="true", default="", metavar="PARAMETERS", help=f"attest {what}; requires --push"
        )
    group.add_argument("--pull", action="store_true", help="pull a newer base image, if there is one")
    group.add_argument("--no-cache", action="store_true", help="build every step again")
    group.add_argument("--dry-run", action="store_true", help="print Dockerfiles and bake file; needs no Docker")
    group.add_argument(
        "--progress", choices=PROGRESS_MODES, default="auto", help="progress output; default: one line per step"
    )


def _bake_options(matrix: Matrix, parsed: argparse.Namespace) -> bake.BakeOptions:
    """Return the flags for how the images are built, checked."""
    platforms = tuple(dict.fromkeys(name for text in parsed.platform for name in text.split(",")))
    for platform in platforms:
        inputs.check_platform(platform, matrix.platforms)
    for path, flag in ((parsed.ca_bundle, "--ca-bundle"), (parsed.pip_config, "--pip-config")):
        if path:
            inputs.check_file(path, flag)
    if (parsed.sbom or parsed.provenance) and not parsed.push:
        raise RequestError("--sbom and --provenance are attached when an image is pushed.", "Add --push.")
    if len(platforms) > 1 and not parsed.push:
        raise RequestError(
            "The engine holds one platform of an image; several can only be pushed.",
            "Add --push, or build one platform at a time.",
        )
    return bake.BakeOptions(
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


def _build(matrix: Matrix, parsed: argparse.Namespace) -> None:
    how = _bake_options(matrix, parsed)
    request, options, naming = request_of(parsed), options_of(parsed), Naming.of(parsed)
    specs = resolved(matrix, request, options, naming.tags)
    named = {spec.identifier: naming.references(matrix, spec) for spec in specs}
    if len(specs) > 1:
        bases = len({spec.base_reference for spec in specs})
        say(f"{len(specs)} images on {bases} base images; --airflow, --python, --dags and --select choose fewer")
    for spec in specs:
        versions = f"Airflow {spec.airflow}, Python {spec.python}, DAGs {spec.dags}"
        say(f"{spec.identifier}: {versions}, from {spec.base_reference}")
    if options.insecure_aws_credentials:
        credential_arguments()
        say("WARNING: AWS credentials are written into the image; everybody who can pull it can read and use them")
    if parsed.dry_run:
        print("\n".join(_dockerfiles(specs)))
        print("# docker-bake.json")
        print(json.dumps(bake.bake_file(specs, named, how, Path("CONTEXT"), parsed.push), indent=2))
        return
    engine = Engine()
    engine.require_buildx()
    if not how.platforms and engine.architecture() == "arm64":
        say(
            "note: this builds for linux/arm64, and ECS runs X86_64 unless the task definition's runtimePlatform says "
            "ARM64; --platform linux/amd64 builds for X86_64"
        )
    build(engine, specs, how, named, push=parsed.push, progress=parsed.progress)


def _dockerfiles(specs: Sequence[ImageSpec]) -> list[str]:
    """Return the Dockerfiles of images, to be printed."""
    with tempfile.TemporaryDirectory(prefix="airflow-ecs-build-") as folder:
        wheel = build_wheel(Path(folder))
    return [render(spec, wheel) for spec in specs]


def _explain(matrix: Matrix, parsed: argparse.Namespace) -> None:
    naming = Naming.of(parsed)
    found = [
        {
            "identifier": spec.identifier,
            "airflow": spec.airflow,
            "python": spec.python,
            "dags": spec.dags,
            "base": spec.base_reference,
            "tags": list(naming.references(matrix, spec)),
        }
        for spec in resolved(matrix, request_of(parsed), options_of(parsed), naming.tags)
    ]
    if parsed.json:
        print(json.dumps(found, indent=2))
        return
    for image in found:
        print(f"{image['identifier']}: Airflow {image['airflow']} on Python {image['python']}, DAGs {image['dags']}")
        print(f"  from {image['base']}")
        print("  tags " + " ".join(image["tags"]))


def _render(matrix: Matrix, parsed: argparse.Namespace) -> None:
    specs = resolved(matrix, request_of(parsed), options_of(parsed))
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


def _matrix(matrix: Matrix, parsed: argparse.Namespace) -> None:
    request = replace(request_of(parsed), every=True)  # all images that the flags allow
    specs = resolved(matrix, request, options_of(parsed))
    if parsed.json:
        include = [
            {"identifier": s.identifier, "airflow": s.airflow, "python": s.python, "dags": s.dags} for s in specs
        ]
        print(json.dumps({"include": include}))
        return
    for spec in specs:
        print(spec.identifier)


def _tags(matrix: Matrix, parsed: argparse.Namespace) -> None:
    naming = Naming.of(parsed)
    for spec in resolved(matrix, request_of(parsed), options_of(parsed), naming.tags):
        for reference in naming.references(matrix, spec):
            print(reference)
