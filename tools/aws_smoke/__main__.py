"""Check on an AWS account what this project assumes of AWS, and keep its messages (docs/first-day-on-aws.md).

    make aws-smoke STACK=airflow-ecs
    make aws-smoke ARGS="--cluster default --subnets subnet-0123456789abcdef0 --assign-public-ip"
    make aws-smoke CHECKS="vcpu-quota no-cluster" YES=1

The account is that of AWS_PROFILE and AWS_REGION, or of whatever else the AWS SDK reads. All that is made is removed
again, after Ctrl-C as well. Exit codes: 0, AWS answered as expected; 1, it did not; 2, nothing was asked; 3, something
could not be removed; 130, Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from airflow_ecs_executor.aws.errors import classify, remedy
from airflow_ecs_executor.aws.stack import StackError, read_stack
from airflow_ecs_executor.image_check.reference import parse

from images.errors import AwsError
from local.errors import LocalError
from local.machine.console import guarded, say
from tools.aws_smoke.account import CALL_ERRORS, Account, SmokeError, Target
from tools.aws_smoke.checks import CHECKS, TASK_CENTS, Answer, Check
from tools.aws_smoke.tasks import PUBLIC_IMAGE, never_started

_OTHERWISE, _LEFT = 1, 3
_STACK_FLAG = {"stack", "scheduler_policy"}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="make aws-smoke", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("checks", metavar="CHECK", nargs="*", help="only these; default: all that are cheap and safe")
    made.add_argument("--list", action="store_true", help="print the checks, and ask nothing")
    made.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    made.add_argument(
        "--out", type=Path, default=Path("aws-smoke.jsonl"), help="AWS's messages are added here (default: %(default)s)"
    )
    made.add_argument("--region", default="", help="default: as configured for the AWS SDK")
    made.add_argument("--stack", default="", help="a stack of deploy/template.yaml; the flags below beat its outputs")
    made.add_argument("--cluster", default="")
    made.add_argument("--subnets", default="", metavar="SUBNET,…", help="from which images can be pulled")
    made.add_argument("--security-groups", default="", metavar="GROUP,…", help="default: the VPC's own")
    made.add_argument("--assign-public-ip", action="store_true", help="for public subnets")
    made.add_argument("--execution-role", default="", metavar="ARN", help="by which ECS writes logs")
    made.add_argument("--log-group", default="")
    made.add_argument("--repository", default="", metavar="NAME", help="in Amazon ECR")
    made.add_argument("--bucket", default="")
    made.add_argument("--image", default=f"{PUBLIC_IMAGE}:stable", help="with a shell (default: %(default)s)")
    made.add_argument("--isolated-subnet", default="", metavar="SUBNET", help="without a route to AWS: for no-route")
    return made


def target_of(parsed: argparse.Namespace) -> Target:
    """The stack's outputs, and the flags. Raises SmokeError."""
    target = Target(region=parsed.region, image=parsed.image)
    try:
        parse(target.image)
    except ValueError as error:
        raise SmokeError(f"--image: {error}.") from None
    if parsed.stack:
        try:
            outputs = read_stack(parsed.stack, parsed.region or None)
        except StackError as error:
            raise SmokeError(str(error)) from None
        target = replace(
            target, stack=parsed.stack, scheduler_policy=outputs.scheduler_policy_arn, cluster=outputs.cluster_name,
            subnets=outputs.subnets, security_groups=outputs.security_groups, log_group=outputs.log_group_name,
            assign_public_ip=outputs.assign_public_ip == "True", execution_role=outputs.execution_role_arn,
            repository=outputs.repository_name, bucket=outputs.bucket_name,
        )  # fmt: skip
    given = {name: value for name, value in vars(parsed).items() if value and name in vars(target)}
    return replace(target, **given)


def chosen(names: Sequence[str]) -> list[Check]:
    """The checks of these names, or those that are cheap and safe. Raises SmokeError."""
    unknown = sorted({*names} - {check.name for check in CHECKS})
    if unknown:
        raise SmokeError(f"{unknown[0]!r} is not a valid check. Expected: {', '.join(check.name for check in CHECKS)}.")
    return [check for check in CHECKS if check.name in names or not (names or check.named)]


def lacking(check: Check, target: Target) -> str:
    """The flags that a check needs and that are not given."""
    missing = [name for name in check.needs if not getattr(target, name)]
    if {*missing} & _STACK_FLAG:
        return "--stack"
    return ", ".join(f"--{name.replace('_', '-')}" for name in missing)


def plan(checks: Sequence[Check]) -> str:
    """What would be asked, made and paid."""
    rows = [f"  {check.name:15}{check.cost:15}{check.asks}" for check in checks]
    tasks = len({check.task for check in checks if check.task}) + sum(check.launches for check in checks)
    made = [f"{tasks} ECS tasks"] if tasks else []
    made += [check.makes for check in checks if check.makes]
    rows.append(f"Made, and removed again: {', '.join(made) or 'nothing'}.")
    cost, time_ = (f"up to {tasks * TASK_CENTS:g} US cents", "minutes") if tasks else ("nothing", "seconds")
    rows.append(f"Cost: {cost}. Time: some {time_}.")
    return "\n".join(rows)


def confirm() -> None:
    """Go on, if somebody says so. Raises SmokeError."""
    try:
        answer = input("Ask AWS? [y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        raise SmokeError("Nothing was asked. Answer y, or give YES=1 (--yes).")


def asked(check: Check, account: Account) -> tuple[Answer, str]:
    """The answer to a check, and what to do if it is not the expected one."""
    try:
        return check.ask(account), check.otherwise
    except LocalError as error:
        return Answer(False, str(error)), check.otherwise
    except AwsError as error:
        return Answer(False, error.message), error.hint
    except CALL_ERRORS as error:
        found = classify(error)
        return Answer(False, found.reason), remedy(found, "") or check.otherwise


def report(check: Check, answer: Answer, otherwise: str, seconds: float) -> str:
    """What was asked, expected and answered."""
    lines = [
        f"{'ok' if answer.good else 'OTHERWISE':11}{check.name}",
        f"  asked      {check.asks}",
        f"  expected   {check.expects}",
        f"  answered   {' '.join(answer.text.split())}",
        *([] if answer.good else [f"  to do      {otherwise}"]),
        f"  cost       {check.cost}, {seconds:.0f} s",
    ]
    return "\n".join(lines)


def ask_all(checks: Sequence[Check], account: Account) -> int:
    """Ask, and print the answers; returns how many were not the expected ones."""
    account.wanted = list(dict.fromkeys(check.task for check in checks if check.task))
    count = skipped = 0
    for check in checks:
        if check.task and never_started(account):
            print(f"{'not asked':11}{check.name}: first-task never started, as this task would not")
            skipped += 1
            continue
        begun = time.monotonic()
        answer, otherwise = asked(check, account)
        count += not answer.good
        print(report(check, answer, otherwise, time.monotonic() - begun), flush=True)
    print(f"{len(checks) - skipped} checks, of which {count} were answered otherwise than expected")
    return count


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask what the command line wants."""
    parsed = parser().parse_args(arguments)
    checks = chosen(parsed.checks)
    if parsed.list:
        print(plan(checks))
        return 0
    if not parsed.out.parent.is_dir():
        raise SmokeError(f"--out {parsed.out}: there is no folder {parsed.out.parent}.")
    target = target_of(parsed)
    account = Account(target)
    print(f"Account …{account.number[-4:]}, region {account.region}")
    for check in checks:
        if flags := lacking(check, target):
            if parsed.checks:
                raise SmokeError(f"The check {check.name} requires {flags}.")
            print(f"  {check.name:15}not asked: it requires {flags}")
    checks = [check for check in checks if not lacking(check, target)]
    print(plan(checks), flush=True)
    if not parsed.yes:
        confirm()
    left: list[str] = []
    try:
        otherwise = ask_all(checks, account)
    finally:
        left = account.clean_up()
        for command in left:
            say(f"Not removed; remove it by: {command}")
        print(
            f"{account.messages.write(parsed.out, account.region)} new messages of AWS are in {parsed.out}", flush=True
        )
    return _LEFT if left else _OTHERWISE if otherwise else 0


if __name__ == "__main__":
    sys.exit(guarded(main))
