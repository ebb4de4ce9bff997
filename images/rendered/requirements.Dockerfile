# 3.3.2-python3.12-s3: an Airflow worker image for Amazon ECS, image contract version 1.
# Rendered from images/Dockerfile.j2 and matrix.yaml. Build it with `python build.py`, or, in the folder that
# `python build.py render -o DIR` writes, with `docker build`; the arguments below can be given as --build-arg.

ARG aws_default_region="eu-west-1"
ARG s3_uri=""
ARG requirements_path="requirements.txt"

# --- The base, with bytecode for all that a task imports, and what its own dependency check finds. Shared by every
# image on this base.
FROM apache/airflow:3.3.2-python3.12 AS base
USER 50000:0
RUN --mount=type=bind,source=steps,target=/steps \
    python /steps/check_base.py --airflow 3.3.2 --python 3.12
USER root
RUN --mount=type=bind,source=steps,target=/steps \
    python /steps/compile_bytecode.py \
    && install -d /opt/airflow-ecs \
    && { python -m pip check --disable-pip-version-check > /opt/airflow-ecs/base-dependency-check.txt || true; }

# The AWS CLI, away from Airflow's packages.
RUN --mount=type=bind,source=steps,target=/steps \
    --mount=type=cache,id=airflow-ecs-pip-0,target=/root/.cache/pip,uid=0 \
    --mount=type=secret,id=ca-bundle,uid=0 \
    --mount=type=secret,id=pip-config,uid=0 \
    PIP_CACHE_DIR=/root/.cache/pip \
    python /steps/install_aws_cli.py /steps/aws-cli.txt \
    && ln -sf /opt/aws-cli/bin/aws /usr/local/bin/aws

# Debian packages that were asked for. Some read a variable, such as ACCEPT_EULA, when they are installed.
# hadolint ignore=DL3008
RUN --mount=type=secret,id=ca-bundle,mode=0444 \
    if [ -f /run/secrets/ca-bundle ]; then ca="-o=Acquire::https::CAInfo=/run/secrets/ca-bundle"; fi \
    && apt-get ${ca:+"${ca}"} update \
    && AIRFLOW__CORE__PARALLELISM="8" DEBIAN_FRONTEND=noninteractive apt-get ${ca:+"${ca}"} install -y --no-install-recommends \
       git libpq5 \
    && rm -rf /var/lib/apt/lists/*

USER 50000:0

# The entrypoint.
RUN --mount=type=bind,source=wheels,target=/wheels \
    umask 0002 \
    && python -m pip install --no-index --no-deps --no-cache-dir --disable-pip-version-check --force-reinstall \
       /wheels/airflow_ecs_entrypoint-0.1.0-py3-none-any.whl

# --- Requirements; this stage takes part when requirements_path is not empty.
FROM base AS base-requirements
ARG requirements_path
COPY --chown=50000:0 ${requirements_path} /opt/airflow-ecs/requirements.txt
RUN --mount=type=bind,source=steps,target=/steps \
    --mount=type=cache,id=airflow-ecs-pip-50000-f4eca589,target=/tmp/.cache/pip,uid=50000 \
    --mount=type=secret,id=ca-bundle,uid=50000 \
    --mount=type=secret,id=pip-config,uid=50000 \
    PIP_CACHE_DIR=/tmp/.cache/pip \
    python /steps/install_packages.py --constraints image --requirements /opt/airflow-ecs/requirements.txt

FROM base${requirements_path:+-requirements} AS installed

# --- Configuration that was asked for.
ENV AIRFLOW__CORE__PARALLELISM="8"

FROM installed AS configured

# --- Defaults for AWS; a stage takes part when its value is not empty, so that no variable is ever set to nothing.
FROM configured AS configured-region
ARG aws_default_region
ENV AWS_DEFAULT_REGION=${aws_default_region}

FROM configured${aws_default_region:+-region} AS located

FROM located AS located-uri
ARG s3_uri
ENV S3_URI=${s3_uri}

FROM located${s3_uri:+-uri} AS worker

# --- DAGs.
ARG container_dag_path="/opt/airflow/dags"
ENV CONTAINER_DAG_PATH=${container_dag_path}
USER root
# Without an airflow.cfg, Airflow's command line writes one at each start, with a key of its own making.
RUN install -d -o 50000 -g 0 -m 0775 "${container_dag_path}" /opt/airflow/plugins /opt/airflow/config \
    && if [ ! -e /opt/airflow/airflow.cfg ]; then \
         install -o 50000 -g 0 -m 0664 /dev/null /opt/airflow/airflow.cfg \
         && echo "# Empty on purpose: defaults apply, and AIRFLOW__SECTION__OPTION variables." >> /opt/airflow/airflow.cfg; \
       fi
USER 50000:0
WORKDIR /opt/airflow
ENV AIRFLOW_ECS_DAGS=s3
ENTRYPOINT ["/usr/bin/dumb-init", "--", "airflow-ecs-entrypoint"]
CMD []

LABEL org.opencontainers.image.authors="" \
      org.opencontainers.image.documentation="" \
      org.opencontainers.image.ref.name="" \
      org.opencontainers.image.url="" \
      org.opencontainers.image.vendor="" \
      org.opencontainers.image.created="" \
      org.opencontainers.image.revision="" \
      org.opencontainers.image.source="" \
      org.opencontainers.image.title="airflow-ecs-worker" \
      org.opencontainers.image.description="Apache Airflow 3.3.2 worker for Amazon ECS" \
      org.opencontainers.image.version="3.3.2-python3.12-s3" \
      org.opencontainers.image.base.name="apache/airflow:3.3.2-python3.12" \
      io.airflow-ecs.contract="1" \
      io.airflow-ecs.airflow="3.3.2" \
      io.airflow-ecs.python="3.12" \
      io.airflow-ecs.dags="s3" \
      io.airflow-ecs.entrypoint="0.1.0" \
      io.airflow-ecs.aws-cli="true" \
      com.example.team="data platform"
