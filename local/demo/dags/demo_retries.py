"""### Failures and retries

- `fails_once` fails on its first try and succeeds on the second; each try has a container and a log of its own;
- `fails_for_good` fails on every try, and ends as *failed*;
- `afterwards` runs whatever became of them (trigger rule `all_done`), so the run as a whole is a *success*.
"""

from __future__ import annotations

import datetime

from airflow_compat import TriggerRule, dag, get_current_context, task

DELAY = datetime.timedelta(seconds=3)


@dag(
    schedule=None,
    start_date=datetime.datetime(2024, 1, 1),
    catchup=False,
    default_args={"retries": 1, "retry_delay": DELAY},
    doc_md=__doc__,
    tags=["demo"],
)
def demo_retries():
    """A task that recovers, one that does not, and one that runs in any case."""

    @task
    def fails_once() -> int:
        """Succeed from the second try on, and return its number."""
        number = get_current_context()["ti"].try_number
        if number == 1:
            raise RuntimeError("try 1 fails on purpose: the next one succeeds")
        print(f"try {number} succeeds", flush=True)
        return number

    @task
    def fails_for_good() -> None:
        """Fail on each try."""
        raise RuntimeError("this task fails on purpose, on every try")

    @task(trigger_rule=TriggerRule.ALL_DONE)
    def afterwards() -> None:
        """Run, whatever has happened."""
        print("all are done", flush=True)

    [fails_once(), fails_for_good()] >> afterwards()


demo_retries()
