"""A line when a step starts and one when it ends, from Buildx's plain progress."""

from __future__ import annotations

from images.progress import Progress

BUILD = """\
#0 building with "default" instance using docker driver

#1 [internal] load build definition from 2.10.5-python3.8-s3.Dockerfile
#1 transferring dockerfile: 217B done
#1 DONE 0.0s

#5 [base 1/3] FROM docker.io/apache/airflow:2.10.5-python3.8
#5 DONE 3.1s

#6 [base 2/3] RUN --mount=type=bind,source=steps,target=/steps     python /steps/compile_bytecode.py
#6 0.155 compiled /usr/python/lib

#7 [2-10-5-python3-9-s3 base 3/3] RUN --mount=type=cache,id=x,target=/c --mount=type=secret,id=y python /steps/pip.py
#7 0.100 RUN DONE 5.0s is what a program printed
#7 CACHED

#6 [base 2/3] RUN --mount=type=bind,source=steps,target=/steps     python /steps/compile_bytecode.py
#6 12.155 compiled /home/airflow
#6 DONE 12.2s

#8 [worker 2/2] RUN install -d /opt/airflow/dags
#8 DONE 0.2s

#9 [worker 3/3] RUN false
#9 ERROR: process "/bin/sh -c false" did not complete successfully: exit code: 1

#10 exporting to image
#10 exporting layers
#10 exporting layers 4.0s done
#10 DONE 4.1s
------
 > [worker 3/3] RUN false:
------
ERROR: failed to solve: process "/bin/sh -c false" did not complete successfully: exit code: 1
"""


def shown(text: str) -> list[str]:
    progress = Progress()
    return [line for raw in text.splitlines() for line in progress.feed(raw)]


def test_steps_that_run_are_shown_once_and_long_ones_with_their_time() -> None:
    assert shown(BUILD) == [
        "  [base 1/3] FROM docker.io/apache/airflow:2.10.5-python3.8: 3.1 s",
        "  [base 2/3] RUN python /steps/compile_bytecode.py",
        "  [2-10-5-python3-9-s3 base 3/3] RUN python /steps/pip.py",
        "  [base 2/3] RUN python /steps/compile_bytecode.py: 12.2 s",
        "  [worker 2/2] RUN install -d /opt/airflow/dags",
        "  [worker 3/3] RUN false",
        "  [worker 3/3] RUN false: FAILED",
        "  exporting to image",
        "  exporting to image: 4.1 s",
    ]


def test_long_commands_are_cut() -> None:
    (line,) = shown(f"#1 [a 1/1] RUN {'x' * 500}")
    assert line.endswith("x…")
    assert len(line) < 120


def test_output_that_is_no_progress_shows_nothing() -> None:
    assert shown("\n#\n#x y\nhello\n#1\n#1 DONE 9.9s\n#2 ERROR: x\n") == []
