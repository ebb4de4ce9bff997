#!/usr/bin/env bash
# Entrypoint of the stand-in base images: the part of the official image's behaviour that tests rely on.
set -euo pipefail

# An arbitrary UID has no passwd entry: Airflow asks for the user's name and home.
if ! whoami >/dev/null 2>&1; then
    if [[ -w /etc/passwd ]]; then
        echo "default:x:$(id -u):0:default user:${AIRFLOW_USER_HOME_DIR}:/sbin/nologin" >>/etc/passwd
    fi
    export HOME="${AIRFLOW_USER_HOME_DIR}"
fi

# Wait for the database, as the official image does before every command, bash and python included.
attempts="${CONNECTION_CHECK_MAX_COUNT:-20}"
while ((attempts > 0)); do
    if airflow db check >/dev/null 2>&1; then
        break
    fi
    attempts=$((attempts - 1))
    if ((attempts == 0)); then
        echo "ERROR: no connection to the database after ${CONNECTION_CHECK_MAX_COUNT:-20} attempts" >&2
        exit 1
    fi
    sleep "${CONNECTION_CHECK_SLEEP_TIME:-3}"
done

case "${1:-}" in
    bash | /bin/bash)
        shift
        exec /bin/bash "$@"
        ;;
    python)
        shift
        exec python "$@"
        ;;
esac

if [[ "${1:-}" == airflow ]]; then
    shift
fi
exec airflow "$@"
