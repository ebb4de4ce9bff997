"""A report in two tasks: the second gets the first one's result through XCom."""

from __future__ import annotations

import datetime

from acme import regions
from acme.airflow_compat import dag, task
from acme.reporting import summary


@dag(schedule=None, start_date=datetime.datetime(2024, 1, 1), catchup=False, tags=["project"])
def project_report():
    """Units sold by region."""

    @task
    def load() -> dict[str, int]:
        """Read the data file."""
        totals = regions.totals()
        print(f"loaded {len(totals)} regions from {regions.DATA_FILE}")
        return totals

    @task
    def render(totals: dict[str, int]) -> str:
        """Write the report to the task's log."""
        text = summary(totals)
        print(text)
        return text

    render(load())


project_report()
