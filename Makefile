# Two commands do everything: `make image` runs the main job, `make test` passes the tests.
# Both install what a fresh Debian machine lacks (as root), and stop what they started.
# `make demo` starts a whole Airflow and leaves it running: `make demo-down` removes it.

SHELL := /bin/bash
VENV := .venv
VENV_PYTHON := $(VENV)/bin/python
NOX := $(VENV)/bin/nox
WITH_ENGINE := bash local/machine/engine.sh run
LOCK := $(VENV)/bin/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header --no-emit-index-url

# For `make image` and `make demo`: the Airflow (a version, or a prefix such as 3) and the Python (such as 3.12) of the
# image; the port of the demo's UI.
export AIRFLOW ?= 2
export PYTHON ?=
export PORT ?=

.PHONY: help
help:  ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: image
image: $(VENV)/ready  ## build an image and run a real task in it: make image [AIRFLOW=3] [PYTHON=3.12]
	@$(WITH_ENGINE) $(VENV_PYTHON) -m local.demo.image

.PHONY: demo
demo: $(VENV)/ready  ## start a whole Airflow whose tasks run on a local ECS: make demo [AIRFLOW=3] [PYTHON=3.12] [PORT=8090]
	@bash local/machine/engine.sh ensure
	@$(VENV_PYTHON) -m local.demo up

.PHONY: demo-down
demo-down: $(VENV)/ready  ## remove the demo; `make engine-stop` stops an engine that was started for it
	@$(VENV_PYTHON) -m local.demo down

.PHONY: test
test: $(VENV)/ready  ## every check and test, on the newest Airflow 2 and 3: unit tests, built images, whole Airflows on a local ECS
	@$(WITH_ENGINE) $(NOX)

.PHONY: test-all
test-all: $(VENV)/ready  ## the same on every Airflow and Python, and what takes minutes
	@$(WITH_ENGINE) $(NOX) --tags all -- --full

.PHONY: unit
unit: $(VENV)/ready  ## unit tests: no Docker, no Airflow
	@$(NOX) --session unit

.PHONY: lint
lint: $(VENV)/ready  ## format, lint, types, shell scripts, template, workflows
	@$(NOX) --session lint

.PHONY: bench-images
bench-images: $(VENV)/ready  ## compare our image with the reference image: cold starts, sizes, rebuilds
	@$(WITH_ENGINE) $(VENV_PYTHON) tests/bench/images.py

.PHONY: bench-executor
bench-executor: $(VENV)/ready  ## compare the executor with the reference executor: launches, heartbeats, adoption
	@$(VENV_PYTHON) tests/bench/executor.py

.PHONY: bench-image-check
bench-image-check: $(VENV)/ready  ## compare the image check with a pull of the image
	@$(WITH_ENGINE) $(VENV_PYTHON) tests/bench/image_check.py

.PHONY: screenshots
screenshots: $(VENV)/ready  ## take the screenshots of the docs anew: docs/images/
	@$(WITH_ENGINE) $(VENV_PYTHON) -m tools.screenshots

.PHONY: bench-e2e
bench-e2e: $(VENV)/ready  ## compare executor and image together with the reference's: queued to the first line, many at once
	@$(WITH_ENGINE) $(VENV_PYTHON) tests/bench/end_to_end.py

.PHONY: docs
docs: $(VENV)/ready  ## build the documentation site: site/index.html
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict

.PHONY: docs-serve
docs-serve: $(VENV)/ready  ## show the documentation while you write it: http://127.0.0.1:8000
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs serve

.PHONY: engine
engine:  ## install (Debian, as root) and start a Docker engine with Buildx
	@bash local/machine/engine.sh ensure

.PHONY: engine-stop
engine-stop:  ## stop the engine that `make engine` started
	@bash local/machine/engine.sh stop

.PHONY: add-airflow
add-airflow: $(VENV)/ready  ## add an Airflow release to the matrix, with its locks: make add-airflow VERSION=3.3.1 [PYTHON="3.12 3.13"]
	@$(VENV_PYTHON) -m tools.add_airflow "$(VERSION)" --python "$(PYTHON)"

.PHONY: aws-smoke
aws-smoke: $(VENV)/ready  ## check on a real AWS account what the tests assume: make aws-smoke [STACK=airflow-ecs] [CHECKS="list-tasks burst"] [YES=1] [ARGS="--help"]
	@PYTHONPATH=executor:entrypoint $(VENV_PYTHON) -m tools.aws_smoke $(CHECKS) $(if $(STACK),--stack $(STACK)) \
		$(if $(filter-out 0,$(YES)),--yes) $(ARGS)

.PHONY: lock
lock: $(VENV)/ready  ## resolve all locked requirements anew
	$(LOCK) --python-version 3.10 requirements/build.in -o requirements/build.txt
	$(LOCK) --python-version 3.10 requirements/dev.in -o requirements/dev.txt
	$(LOCK) --python-version 3.10 requirements/screenshots.in -o requirements/screenshots.txt
	$(LOCK) --python-version 3.8 requirements/unit-tests.in -o requirements/unit-tests.txt
	$(LOCK) --python-version 3.8 images/aws-cli/requirements.in -o images/aws-cli/requirements.txt
	$(LOCK) --python-version 3.11 local/aws_services/service_image/requirements.in -o local/aws_services/service_image/requirements.txt
	$(VENV_PYTHON) -m tests.executor.environments lock

$(VENV)/ready: requirements/dev.txt local/machine/venv.sh
	@bash local/machine/venv.sh $(VENV)
