"""### A task to stop

`works_for_an_hour` writes a line every five seconds. Mark it as *failed* or *success* in the UI, or stop its ECS task:
`on_kill` says so in the log and ends the command. Kill the scheduler meanwhile, and the container goes on.
"""

from __future__ import annotations

import datetime

from airflow_compat import BashOperator, dag

COMMAND = """
trap 'echo "the command was asked to end"; exit 143' TERM
for i in $(seq 720); do
    echo "still at work: $((i * 5)) s"
    sleep 5 & wait $!
done
"""


class StoppableOperator(BashOperator):
    """Says in its log that it is being stopped."""

    def on_kill(self):
        """End the command."""
        self.log.info("on_kill: the command is told to end")
        super().on_kill()


@dag(
    schedule=None,
    start_date=datetime.datetime(2024, 1, 1),
    catchup=False,
    doc_md=__doc__,
    tags=["demo"],
)
def demo_long():
    """One task that has to be stopped."""
    StoppableOperator(task_id="works_for_an_hour", bash_command=COMMAND)


demo_long()
