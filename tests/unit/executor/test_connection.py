"""How AWS is reached, as far as it needs neither Airflow nor AWS."""

from __future__ import annotations

import pytest
from airflow_ecs_executor.connection import region_of


def test_the_region_is_the_flag_s_or_the_environment_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION", raising=False)
    assert region_of(None) is None and region_of("") is None
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert (region_of(None), region_of("eu-west-2")) == ("eu-west-1", "eu-west-2")
