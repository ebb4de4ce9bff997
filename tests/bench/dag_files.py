"""The DAG files of the cold start benchmark: one that is run, and others as in a team's repository."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

DAG_ID = "cold_start"
FIRST_LINE = "/opt/airflow/logs/first-line"
"""The file to which a task writes the time at which its first line ran."""

_DAG = '''\
"""Independent tasks that say when they began."""

from datetime import datetime
from time import time

try:
    from airflow.providers.standard.operators.python import PythonOperator
    from airflow.sdk import DAG
except ImportError:
    from airflow.models.dag import DAG
    from airflow.operators.python import PythonOperator


def first_line():
    moment = time()
    with open("{first_line}", "w") as file:
        file.write(repr(moment))


with DAG("{dag_id}", schedule=None, start_date=datetime(2024, 1, 1), max_active_tasks={tasks}):
    for number in range({tasks}):
        PythonOperator(task_id=f"task_{{number}}", python_callable=first_line)
'''
_OTHER = '''\
"""Orders of region {number}: load, check, report."""

from datetime import datetime, timedelta

from airflow.decorators import dag, task

COLUMNS = ["order", "customer", "article", "units", "price", "currency", "region", "ordered", "shipped"]
ARTICLES = {articles}


@dag(
    dag_id="orders_of_region_{number}",
    schedule=timedelta(hours={hours}),
    start_date=datetime(2024, 1, 1),
    catchup=False,
    tags=["orders", "region-{number}"],
)
def orders():
    @task(retries=3, retry_delay=timedelta(minutes=5))
    def load():
        """The rows of one day."""
        return [dict(zip(COLUMNS, range(row, row + len(COLUMNS)))) for row in range({number}, {number} + 100)]

    @task
    def check(rows):
        """Rows without a customer are an error, rows without a price or of another article are left out."""
        for row in rows:
            if row["customer"] is None:
                raise ValueError(f"order {{row['order']}} of region {number} has no customer")
        return [row for row in rows if row["price"] is not None and row["article"] in ARTICLES]

    @task
    def report(rows):
        """Units and value by article."""
        totals = {{}}
        for row in rows:
            units, value = totals.get(row["article"], (0, 0))
            totals[row["article"]] = units + row["units"], value + row["units"] * row["price"]
        for article, (units, value) in sorted(totals.items()):
            print(f"region {number}: {{article}}: {{units}} units, {{value}}")

    report(check(load()))


orders()
'''


def task_ids(count: int) -> list[str]:
    """Return the IDs of the tasks of a DAG with ``count`` tasks."""
    return [f"task_{number}" for number in range(count)]


def dag_files(count: int, tasks: int) -> dict[str, bytes]:
    """Return ``count`` files by path, a hundred in each folder. The DAG that is run has ``tasks`` tasks."""
    files = {f"{DAG_ID}.py": _DAG.format(first_line=FIRST_LINE, dag_id=DAG_ID, tasks=tasks).encode()}
    for number in range(count - 1):
        # Unique content in each, so that the archive is not smaller than one of real DAGs.
        digest = hashlib.sha512(str(number).encode()).hexdigest()
        articles = [digest[start : start + 16] for start in range(0, len(digest), 16)]
        text = _OTHER.format(number=number, hours=number % 24 + 1, articles=articles)
        files[f"orders_{number // 100}/region_{number}.py"] = text.encode()
    return files


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files to a new folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def archive(files: dict[str, bytes]) -> bytes:
    """Return the files as one .tar.gz archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
