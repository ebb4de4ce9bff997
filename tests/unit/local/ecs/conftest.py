from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from local.ecs.control import EcsApi
from tests.unit.local.ecs.calls import Launch, connect, run_task


@pytest.fixture(scope="module")
def server() -> Iterator[EcsApi]:
    """An ECS API for the tests of one module. Tests take `ecs`."""
    with EcsApi() as api:
        yield api


@pytest.fixture
def ecs(server: EcsApi) -> EcsApi:
    """The ECS API as new, whose tasks run until they are stopped."""
    server.reset()
    server.configure(run_seconds=None)
    return server


@pytest.fixture(scope="module")
def connected(server: EcsApi) -> Iterator[Any]:
    """A boto3 client that calls once. A module may have another."""
    client = connect(server)
    yield client
    client.close()


@pytest.fixture
def client(ecs: EcsApi, connected: Any) -> Any:
    """The client `connected`, with the ECS API as new."""
    return connected


@pytest.fixture
def launch(client: Any) -> Launch:
    return partial(run_task, client)
