"""### Waiting without a container

Both sensors wait until 20 seconds after the run's start (`{"seconds": 60}` makes it a minute). No container runs
while they do:

- `deferred` hands its waiting over to the triggerer (state *deferred*), and gets a second container when it is over;
- `rescheduled` gets a short container for every look (state *up for reschedule* in between).

`after_both` runs when both are through.
"""

from __future__ import annotations

import datetime

from airflow_compat import DateTimeSensor, DateTimeSensorAsync, dag, task

LATER = "{{ (dag_run.start_date + macros.timedelta(seconds=(dag_run.conf or {}).get('seconds', 20))).isoformat() }}"


@dag(
    schedule=None,
    start_date=datetime.datetime(2024, 1, 1),
    catchup=False,
    doc_md=__doc__,
    tags=["demo"],
)
def demo_sensors():
    """Two sensors that end at the same time, and a task."""
    deferred = DateTimeSensorAsync(task_id="deferred", target_time=LATER)
    rescheduled = DateTimeSensor(task_id="rescheduled", target_time=LATER, mode="reschedule", poke_interval=10)

    @task
    def after_both() -> None:
        """Say that the time has come."""
        print("both sensors are through", flush=True)

    [deferred, rescheduled] >> after_both()


demo_sensors()
