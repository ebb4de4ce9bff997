#!/usr/bin/env bash
# What the reference's entrypoint does before a task: fetch the DAGs, whether that works or not, then let the base
# image's entrypoint check the database and run the command, as a child of this shell.
aws s3 sync --only-show-errors "${S3_URI}" "${CONTAINER_DAG_PATH}"
/entrypoint "$@"
