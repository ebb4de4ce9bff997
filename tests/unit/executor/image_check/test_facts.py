from __future__ import annotations

import pytest
from airflow_ecs_executor.image_check.facts import facts_of
from hypothesis import given
from hypothesis import strategies as st

OURS = {
    "io.airflow-ecs.contract": "1",
    "io.airflow-ecs.airflow": "3.3.2",
    "io.airflow-ecs.python": "3.12",
    "io.airflow-ecs.dags": "s3",
}
OFFICIAL = {"org.apache.airflow.version": "3.1.8", "org.apache.airflow.python.version": "3.11.9"}


def facts(labels=None, env=(), tag="", **config):
    return facts_of({**config, "config": {"Labels": labels, "Env": list(env)}}, tag)


def test_an_image_of_ours_says_all_in_its_labels():
    found = facts(OURS, ["AIRFLOW_VERSION=3.3.2", "A=b=c"], architecture="arm64")
    assert (found.airflow, found.python, found.architecture) == ("3.3.2", "3.12", "arm64")
    assert (found.contract, found.dags) == ("1", "s3")
    assert found.environment == {"AIRFLOW_VERSION": "3.3.2", "A": "b=c"}


def test_an_official_image_has_airflow_s_labels_and_no_contract():
    found = facts(OFFICIAL)
    assert (found.airflow, found.python, found.contract) == ("3.1.8", "3.11", "")


@pytest.mark.parametrize("variable", ["AIRFLOW_PYTHON_VERSION=3.9.20", "PYTHON_VERSION=3.9.20"])
def test_an_image_without_labels_may_say_it_in_its_environment(variable):
    found = facts(None, ["AIRFLOW_VERSION=2.10.5", variable])
    assert (found.airflow, found.python) == ("2.10.5", "3.9")


@pytest.mark.parametrize(
    "tag", ["2.10.5-python3.8", "2.10.5-python3.8-s3", "slim-2.10.5-python3.8", "2.10.5-python3.8-acme.1"]
)
def test_an_image_that_says_nothing_may_have_a_tag_that_does(tag):
    found = facts({}, (), tag)
    assert (found.airflow, found.python) == ("2.10.5", "3.8")


@pytest.mark.parametrize("tag", ["", "latest", "2.10-python3.8", "2.10.5", "python3.8"])
def test_else_nothing_is_known(tag):
    assert facts({}, ["PATH=/usr/bin"], tag).airflow == ""


def test_what_is_nearer_to_the_truth_wins():
    env = ["AIRFLOW_VERSION=2.11.2", "AIRFLOW_PYTHON_VERSION=3.10.1", "PYTHON_VERSION=3.9.1"]
    both = facts({**OFFICIAL, **OURS}, env, "2.10.5-python3.8")
    assert (both.airflow, both.python) == ("3.3.2", "3.12")
    official = facts(OFFICIAL, env, "2.10.5-python3.8")
    assert (official.airflow, official.python) == ("3.1.8", "3.11")
    plain = facts({}, env, "2.10.5-python3.8")
    assert (plain.airflow, plain.python) == ("2.11.2", "3.10")


def test_what_is_no_version_is_passed_over():
    found = facts(
        {"org.apache.airflow.version": "latest", "org.apache.airflow.python.version": "cpython"}, (), "2.10.5-python3.8"
    )
    assert (found.airflow, found.python) == ("2.10.5", "3.8")


@pytest.mark.parametrize(("text", "python"), [("3.12", "3.12"), ("3.12.4", "3.12"), ("Python 3.9.1", "3.9")])
def test_pythons_count_by_major_and_minor_version(text, python):
    assert facts({"io.airflow-ecs.python": text}).python == python


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.fixed_dictionaries(
        {"config": st.fixed_dictionaries({"Labels": _JSON, "Env": _JSON}) | _JSON, "architecture": _JSON}
    )
)
def test_no_configuration_is_so_strange_that_it_cannot_be_read(config):
    assert isinstance(facts_of(config).airflow, str)
