"""The command that uploads DAGs to S3: dags push."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from images.cli.flags import add_stack, stack_of
from images.cli.parser import Add, adder
from images.console import say
from images.errors import RequestError
from images.matrix import Matrix

_PUSH = """\
Upload the files of DIR to s3://BUCKET/PREFIX, or an archive of them to s3://BUCKET/dags.tar.gz (.tgz, .zip). Only what
has changed is uploaded; files that DIR no longer has are deleted. The last line is the version that a task can pin.
"""


def add_commands(add: Add, matrix: Matrix) -> None:
    """Add the commands to the command line."""
    child = add("dags", _push, "upload DAGs to S3: dags push DIR s3://BUCKET/PREFIX")
    commands = child.add_subparsers(title="commands", metavar="COMMAND", required=True)
    child = adder(commands)("push", _push, "make a prefix or an archive in S3 the same as a folder")
    child.description = _PUSH
    child.add_argument("folder", type=Path, metavar="DIR", help="folder of DAGs")
    child.add_argument("uri", nargs="?", metavar="URI", help="s3://BUCKET/PREFIX, or the S3 URI of an archive")
    add_stack(child, "push to DagsUri of this CloudFormation stack (deploy/template.yaml) instead of URI")
    child.add_argument(
        "--exclude", action="append", default=[], metavar="PATTERN",
        help="leave out files whose path below DIR matches; * matches / too; repeatable",
    )  # fmt: skip
    child.add_argument("--keep-removed", action="store_true", help="delete nothing in S3")
    child.add_argument(
        "--replace", action="store_true", help="push even if the prefix has objects, and none of them is in DIR"
    )
    child.add_argument("--dry-run", action="store_true", help="show what would be done, and change nothing")
    child.add_argument("--json", action="store_true", help="print JSON")


def _push(matrix: Matrix, parsed: argparse.Namespace) -> None:
    # Here: other commands do not need the AWS SDK.
    from images.dags.bucket import Bucket
    from images.dags.plan import destination_of
    from images.dags.push import Choices, push

    if (parsed.uri is None) == (parsed.stack is None):
        example = "For example: python build.py dags push ./dags s3://my-bucket/dags"
        raise RequestError("dags push requires either an S3 URI or --stack.", example)
    uri = parsed.uri if parsed.uri is not None else stack_of(parsed.stack, parsed.region).dags_uri
    destination = destination_of(uri)
    choices = Choices(parsed.exclude, parsed.keep_removed, parsed.replace, parsed.dry_run)
    done = push(parsed.folder, Bucket(destination, parsed.region), choices)
    if parsed.json:
        print(json.dumps({"uri": str(destination), **asdict(done)}, indent=2))
        return
    would = "would be " if parsed.dry_run else ""
    say(
        f"{destination}: {len(done.uploaded)} {would}uploaded, {len(done.deleted)} {would}deleted, "
        f"{done.unchanged} unchanged"
    )
    print(f"S3_URI={destination}")
    if done.version:
        print(f"S3_VERSION={done.version}")
