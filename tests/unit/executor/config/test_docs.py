"""The documentation says what the code does: options, defaults, environment variables, IAM actions, metrics."""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import fields

import pytest
from airflow_ecs_executor.aws import container_logs, hints
from airflow_ecs_executor.cli import config
from airflow_ecs_executor.config import options
from airflow_ecs_executor.config.reader import unread_variables
from airflow_ecs_executor.launching.launch import Counters
from airflow_ecs_executor.launching.policy import Policy

from tests.paths import DOCS

PAGES = [
    "executor.md",
    "executor-configuration.md",
    "failures.md",
    "image-check.md",
    "logging.md",
    "metrics.md",
    "migration.md",
]


def page(name):
    return (DOCS / name).read_text(encoding="utf-8")


def section(text, heading):
    """The text under a heading, to the next one of its level."""
    level = heading.split()[0]
    after = text.split(f"\n{heading}\n", 1)[1]
    return re.split(rf"\n{level} ", after, maxsplit=1)[0]


def table(text, header):
    """The rows of the table that begins with ``header``, as lists of cells."""
    lines = text[text.index(header) :].splitlines()
    rows = []
    for line in lines[2:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def option_rows(name):
    return table(section(page("executor-configuration.md"), f"## `[{name}]`"), "| Option | Type |")


@pytest.mark.parametrize("name", [options.SHARED_SECTION, options.OWN_SECTION])
def test_the_tables_list_exactly_the_options_with_type_and_default(name):
    documented = {row[0].strip("`"): (row[1], row[2]) for row in option_rows(name)}
    actual = {}
    for option in options.named(name).values():
        default = "none" if option.default is None else f"`{option.default}`"
        actual[option.name] = (option.type, "required" if option.required else default)
    assert documented == actual
    assert len(option_rows(name)) == len(actual)


@pytest.mark.parametrize("option", options.OPTIONS, ids=str)
def test_what_is_allowed_is_what_the_code_allows(option):
    (row,) = [row for row in option_rows(option.section) if row[0] == f"`{option.name}`"]
    allowed = row[3]
    assert allowed and row[4]
    if option.choices:
        assert re.findall(r"`(\w+)`", allowed) == list(option.choices)
    if option.minimum is not None:
        low = f"{'above' if option.above_minimum else 'from'} {option.minimum:g}"
        assert allowed == (low if option.maximum is None else f"{low} to {option.maximum:g}")


@pytest.mark.parametrize("name", [*PAGES, "../README.md"])
def test_every_variable_that_is_named_is_read(name):
    found = set(re.findall(r"\bAIRFLOW__(?:AWS|AIRFLOW)_ECS_EXECUTOR__[A-Z0-9_]*[A-Z0-9]", page(name)))
    assert unread_variables(dict.fromkeys(found, "")) == []


@pytest.mark.parametrize("name", PAGES)
def test_json_is_json(name):
    for block in re.findall(r"```json\n(.*?)```", page(name), re.DOTALL):
        json.loads(block)


def test_the_policy_has_the_actions_of_the_table():
    (policy,) = [
        json.loads(block)
        for block in re.findall(r"```json\n(.*?)```", page("executor.md"), re.DOTALL)
        if "Statement" in block
    ]
    actions = set()
    for statement in policy["Statement"]:
        given = statement["Action"]
        actions.update([given] if isinstance(given, str) else given)
    rows = table(section(page("executor.md"), "## IAM"), "| Action |")
    assert actions == {action for row in rows for action in re.findall(r"`([a-z0-9]+:\w+)`", row[0])}


def test_the_constants_are_the_code_s():
    policy, rows = Policy(), table(page("executor.md"), "| Constant | Value |")
    text = "\n".join(f"{row[0]}: {row[1]}" for row in rows)
    for said in (
        f"attempt *n*: {policy.backoff_base:g}ⁿ s, at most {policy.backoff_cap:g} s",
        f"attempts to start a container: {policy.max_attempts}\n",
        f"unanswered request: after {policy.unanswered_base:g}, 2, 4 … {policy.unanswered_cap:g} s",
        f"counts as gone: after {policy.missing_grace:g} s",
        f"ARN is unknown: {policy.locate_delay:g} s later",
        f"relaunches after AWS took the capacity away: {policy.max_relaunches},",
        f"waiting for room: {policy.room_base:g}, {2 * policy.room_base:g}, {4 * policy.room_base:g} … "
        f"{policy.room_cap:g} s",
        f"events about a wait: each {policy.note_interval / 60:g} minutes",
        f"looking whether Airflow still wants a task: each {policy.review_interval / 60:g} minutes",
        f"waiting for running tasks when the scheduler ends: {policy.end_timeout / 60:g} minutes",
    ):
        assert said in text


def test_every_counter_is_documented():
    names = {row[0].strip("`") for row in table(page("metrics.md"), "| Name, after")}
    gauges_and_timers = {"queued", "pending_launches", "waiting", "running", "launch_latency", "adoption"}
    assert names == {field.name for field in fields(Counters)} | gauges_and_timers


def test_the_limits_of_logs_are_the_code_s():
    text = page("logging.md")
    lines, mib = f"{container_logs.MOST_LINES:,}", container_logs.MOST_CHARACTERS // 2**20
    assert f"first {lines} ({mib} MiB)" in text.replace("\n", " ")
    assert f"about {Policy.log_delays[0]:.0f} seconds after" in text
    assert f"later than {sum(Policy.log_delays):.0f} seconds after" in text
    assert f"({options.named(options.OWN_SECTION)['container_log_lines'].default}; 0 switches it off)" in text


def test_every_exit_code_with_a_hint_is_documented():
    text = section(page("failures.md"), "## Exit codes")
    documented = {int(code) for row in table(text, "| Code |") for code in re.findall(r"\d+", row[0])}
    assert set(hints.EXIT_CODES) <= documented


def test_every_flag_of_config_and_its_exit_codes_are_documented():
    text = section(page("executor-configuration.md"), "## The command `config`")
    flags = {flag for row in table(text, "| Flag |") for flag in re.findall(r"--[a-z-]+", row[0])}
    parser = argparse.ArgumentParser()
    config.add_arguments(parser)
    known = {flag for action in parser._actions for flag in action.option_strings if flag.startswith("--")}
    of_options = {f"--{option.name.replace('_', '-')}" for option in options.OPTIONS}
    assert flags - of_options == known - of_options - {"--help"}
    codes = [int(row[0]) for row in table(text, "| Exit code |")]
    assert codes == sorted(map(int, re.findall(r"\b(\d)\b", config.EPILOG)))
