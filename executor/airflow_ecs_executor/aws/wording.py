"""What AWS's messages say besides their code, and what a person can do about it. Pure."""

from __future__ import annotations

import re

_ACTION = re.compile(r"perform:?\s+([a-z0-9-]+:[A-Za-z]+)")
_CLOCK = re.compile(
    r"signature (?:expired|not yet current)|RequestTimeTooSkewed|RequestExpired|request time .* too large",
    re.IGNORECASE,
)
# docs.aws.amazon.com/IAM/latest/UserGuide: "Troubleshoot access denied error messages".
_NOT_ALLOWED = re.compile(r"because no ([\w -]+? (?:policy|policies)|permissions boundary) allows?\b")
_EXPLICITLY_DENIED = re.compile(r"explicit deny(?: in an? ([\w -]+? policy|permissions boundary))?")


_NAMES = (
    (re.compile(r"\barn:[\w-]+:([\w-]+):[^\s,;'\"]*"), r"arn:\1"),
    (re.compile(r"https?://[^\s\"']+"), "URL"),
    (re.compile(r"(?<![\w.-])[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}(?::\d+)?/[\w./@:-]{0,300}\w"), "image"),
    (re.compile(r"(['\"])(?!(?:memory(?:Reservation)?|cpu|awsvpc|executionRoleArn)\1)[\w./@:-]{1,300}\1"), r"\1name\1"),
)
_LONGEST = 4000
"""Characters of a message that are searched, half at its beginning and half at its end. ECS sends up to a thousand."""


def without_names(reason: str) -> str:
    """Replace names that users have chosen, such as an image ``quota-report``: only AWS's words say what happened."""
    if len(reason) > _LONGEST:
        reason = f"{reason[: _LONGEST // 2]} … {reason[-_LONGEST // 2 :]}"
    for pattern, other in _NAMES:
        reason = pattern.sub(other, reason)
    return reason


def denied_action(reason: str) -> str:
    """Return the IAM action that AWS's answer says is not allowed, such as ``ecs:RunTask``; empty if it names none."""
    found = _ACTION.search(reason)
    return found.group(1) if found else ""


def clock_is_wrong(reason: str) -> bool:
    """Return whether AWS refused a request because the clock of the signer is wrong (aws/aws-cli#6676)."""
    return bool(_CLOCK.search(reason))


def policy_to_change(reason: str) -> str:
    """Return what to do if a policy other than that of the caller's identity denies a call, or an empty string."""
    if denied := _EXPLICITLY_DENIED.search(reason):
        return f"change the {denied[1] or 'policy'} that denies it explicitly"
    missing = _NOT_ALLOWED.search(reason)
    if missing and missing[1] != "identity-based policy":
        return f"allow it in the {missing[1]} as well"
    return ""
