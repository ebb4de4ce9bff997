"""Airflow's REST API as its client sees it, on Airflow 2 and 3: real requests to a stand-in."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from local.airflow.rest_api import RestApi, RestApiError
from local.errors import NoAnswerError, ServiceError
from local.fakes.http_service import Answer, Connection, HttpService, Request

PASSWORD = "s3cret"


class Airflow(HttpService):
    """Answers for one of the two APIs what a test has told it to; keeps what it was asked."""

    def __init__(self, version: int) -> None:
        super().__init__()
        self.version = version
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []
        self.tokens = 0
        self.valid = ""

    def serve(self, request: Request, connection: Connection) -> None:
        path = request.target.partition("?")[0]
        said = json.loads(request.body) if request.body else None
        status, answer = self._answer(request, path, said)
        if status == 200 and "/version" not in path:
            self.asked.append((request.method, path, request.query, said))
        text = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        connection.send(Answer(status, {"Content-Type": "application/json"}, text))

    def _answer(self, request: Request, path: str, said: Any) -> tuple[int, Any]:
        own = f"/api/v{self.version}"
        if path == "/auth/token" and self.version == 2:
            if said != {"username": "admin", "password": PASSWORD}:
                return 401, {"detail": "Invalid credentials"}
            self.tokens += 1
            self.valid = f"token-{self.tokens}"
            return 201, {"access_token": self.valid}
        if not path.startswith(own):
            return 404, {"detail": "Not found"}
        path = path[len(own) :]
        if path == "/version":
            return 200, {"version": "x"}
        if path in ("/health", "/monitor/health"):
            return (200, self.answers[path]) if path in self.answers else (404, {})
        if not self._authorised(request.headers.get("authorization", "")):
            return 401, {"title": "Unauthorized"}
        answer = self.answers.get(f"{request.method} {path}")
        if callable(answer):
            answer = answer(request.query)
        if isinstance(answer, tuple):
            return answer[0], answer[1]
        return (404, {"detail": f"no {path}"}) if answer is None else (200, answer)

    def _authorised(self, said: str) -> bool:
        if self.version == 1:
            return said == "Basic " + base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
        return said == f"Bearer {self.valid}"


@pytest.fixture(params=[1, 2], ids=["airflow-2", "airflow-3"])
def airflow(request: pytest.FixtureRequest) -> Iterator[Airflow]:
    with Airflow(request.param) as service:
        yield service


@pytest.fixture
def airflow_3() -> Iterator[Airflow]:
    with Airflow(2) as service:
        yield service


Client = Callable[..., RestApi]


@pytest.fixture
def client() -> Iterator[Client]:
    """Make a client, which is closed when the test ends."""
    made = []

    def make(airflow: Airflow, password: str = PASSWORD) -> RestApi:
        made.append(RestApi(airflow.url, "admin", password))
        return made[-1]

    yield make
    for api in made:
        api.close()


def instance(task_id: str, state: str | None, map_index: int = -1, try_number: int = 1) -> Mapping[str, Any]:
    return {
        "task_id": task_id,
        "state": state,
        "map_index": map_index,
        "try_number": try_number,
    }


def test_nobody_there_is_one_message() -> None:
    api = RestApi("http://127.0.0.1:1", "admin", PASSWORD)
    with pytest.raises(NoAnswerError, match=r"^Airflow at http://127\.0\.0\.1:1 did not answer GET /api/v2/version"):
        api.dag_ids()
    api.close()


def test_waiting_outlasts_silence_as_long_as_it_may() -> None:
    api = RestApi("http://127.0.0.1:1", "admin", PASSWORD)
    with pytest.raises(
        ServiceError, match=r"^Not within 1 s: the run mine of demo ended \(Airflow at .+ did not answer"
    ):
        api.wait_for_run("demo", "mine", timeout=1)
    api.close()


class TestWhoAsks:
    def test_one_token_serves_until_it_has_expired(self, airflow_3: Airflow, client: Client) -> None:
        airflow_3.answers["GET /dags"] = {"dags": [], "total_entries": 0}
        api = client(airflow_3)
        api.dag_ids()
        api.dag_ids()
        assert airflow_3.tokens == 1
        airflow_3.valid = "another"
        api.dag_ids()
        assert airflow_3.tokens == 2


class TestHealth:
    def test_waiting_ends_with_what_was_waited_for(self, airflow: Airflow, client: Client) -> None:
        said = {"metadatabase": {"status": "healthy"}, "scheduler": {"status": "unhealthy"}}
        airflow.answers["/health" if airflow.version == 1 else "/monitor/health"] = said
        api = client(airflow)
        assert api.wait_until_healthy(parts=["metadatabase"])
        with pytest.raises(ServiceError, match="Not within 0 s: metadatabase and scheduler healthy at http://127"):
            api.wait_until_healthy(0)


class TestDags:
    def test_all_pages_are_read(self, airflow: Airflow, client: Client) -> None:
        ids = [f"dag_{number:03}" for number in range(250)]

        def page(query: Mapping[str, str]) -> Any:
            first, count = int(query["offset"]), int(query["limit"])
            return {"dags": [{"dag_id": one} for one in ids[first : first + count]], "total_entries": len(ids)}

        airflow.answers["GET /dags"] = page
        assert client(airflow).dag_ids() == ids

    def test_a_file_that_cannot_be_loaded_ends_the_waiting(self, airflow: Airflow, client: Client) -> None:
        broken = {"filename": "/dags/broken.py", "stack_trace": "NameError: x\n"}
        airflow.answers["GET /dags"] = {"dags": [], "total_entries": 0}
        airflow.answers["GET /importErrors"] = {"import_errors": [broken], "total_entries": 1}
        with pytest.raises(RestApiError, match=r"could not be loaded:\n/dags/broken\.py:\nNameError: x"):
            client(airflow).wait_for_dags(["wanted"])


class TestRuns:
    def test_a_name_may_hold_what_addresses_may_not(self, airflow: Airflow, client: Client) -> None:
        airflow.answers["GET /dags/demo/dagRuns/a%2Fb%2B00%3A00"] = {"state": "success"}
        assert client(airflow).wait_for_run("demo", "a/b+00:00") == "success"

    def test_one_that_does_not_end_tells_how_far_it_is(self, airflow: Airflow, client: Client) -> None:
        airflow.answers["GET /dags/demo/dagRuns/mine"] = {"state": "running"}
        tasks = [instance("b", None), instance("a", "running", 1), instance("a", "success", 0)]
        airflow.answers["GET /dags/demo/dagRuns/mine/taskInstances"] = {"task_instances": tasks, "total_entries": 3}
        with pytest.raises(ServiceError, match=r"mine of demo ended \(a\[0\] success, a\[1\] running, b\[-1\] none\)"):
            client(airflow).wait_for_run("demo", "mine", timeout=0)

    def test_refusals_are_told_in_airflow_s_words(self, airflow: Airflow, client: Client) -> None:
        airflow.answers["POST /dags/demo/dagRuns"] = (409, {"detail": "the run exists"})
        with pytest.raises(RestApiError, match=r"answered 409 to POST /api/v[12]/dags/demo/dagRuns: the run exists"):
            client(airflow).trigger("demo")


class TestTaskInstances:
    PATH = "/dags/demo/dagRuns/mine/taskInstances/work"

    @pytest.mark.parametrize("map_index", [-1, 4])
    def test_a_state_is_set(self, map_index: int, airflow: Airflow, client: Client) -> None:
        path = self.PATH if map_index < 0 else f"{self.PATH}/{map_index}"
        airflow.answers[f"PATCH {path}"] = {}
        client(airflow).set_state("demo", "mine", "work", "failed", map_index)
        said = airflow.asked[-1][3]
        assert said.pop("new_state") == "failed"
        # Airflow 2 only tries out unless it is told not to; Airflow 3 does not know the word.
        assert said == ({"dry_run": False} if airflow.version == 1 else {})

    def test_airflow_3_writes_its_log_as_objects(self, airflow_3: Airflow, client: Client) -> None:
        entries = [{"event": "one", "timestamp": "T", "level": "info"}, {"event": "two", "timestamp": None}]
        airflow_3.answers[f"GET {self.PATH}/logs/1"] = {"content": entries}
        assert client(airflow_3).log("demo", "mine", "work", 1) == "[T] INFO - one\ntwo"
