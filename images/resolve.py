"""From a request (the flags) to image specs, by the matrix. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from images.errors import RequestError
from images.matrix import PYTHON, RELEASE, AirflowRelease, Matrix, version_key
from images.spec import ImageSpec, Options

_NO_FOLDER = ("DAG mode local copies a folder of DAGs into the image.", "Name it: --dags local --dag-path DIR")


@dataclass(frozen=True)
class Request:
    """The flags that select images. ``None`` means that the flag was not given.

    ``airflow`` may be a prefix (``3``, ``2.10``) or ``latest``; ``base`` a name in the matrix or an image name;
    ``select`` a shell pattern for identifiers.
    """

    airflow: str | None = None
    python: str | None = None
    dags: str | None = None
    base: str | None = None
    base_digest: str = ""
    every: bool = False
    select: str | None = None


@dataclass(frozen=True)
class Resolution:
    """The images that a request stands for, and a remark on what was left out, if anything was."""

    specs: tuple[ImageSpec, ...]
    remark: str = ""


def resolve(matrix: Matrix, request: Request, options: Options) -> Resolution:
    """Return the images that a request stands for.

    If there is none, RequestError says why, what is valid, and has the nearest command that works.
    """
    if request.dags and request.dags not in matrix.dag_modes:
        modes = ", ".join(f"{name} ({text})" for name, text in matrix.dag_modes.items())
        raise RequestError(f"Unknown DAG mode {request.dags!r}.", f"--dags takes: {modes}")
    if request.every or request.select:
        return _resolve_many(matrix, request, options)
    dags = request.dags or matrix.defaults.dags
    if dags == "local" and options.dag_path is None:
        raise RequestError(*_NO_FOLDER)
    airflow, python = _resolve_pair(matrix, request, options)
    return Resolution((_spec(matrix, request, options, airflow, python, dags),))


def _resolve_pair(matrix: Matrix, request: Request, options: Options) -> tuple[str, str]:
    """Return the newest release that matches ``--airflow`` and runs on ``--python``.

    A base of the user's own may hold any pair; the build checks that it is the one that is named.
    """
    own_base = request.base is not None and request.base not in matrix.bases
    if own_base and request.python and RELEASE.fullmatch(request.airflow or "") and PYTHON.fullmatch(request.python):
        return str(request.airflow), request.python
    matching = _matching_releases(matrix, request.airflow)
    if request.python is None:
        return matching[-1].version, matching[-1].default_python
    _check_python_is_known(matrix, request)
    fitting = [release for release in matching if request.python in release.pythons]
    if not fitting:
        raise _impossible_pair(matrix, matching, request, options)
    return fitting[-1].version, request.python


def _matching_releases(matrix: Matrix, wanted: str | None) -> list[AirflowRelease]:
    if wanted is None or wanted == "latest":
        return list(matrix.releases)
    matching = list(matrix.matching(wanted))
    if not matching:
        known = ", ".join(release.version for release in matrix.releases)
        raise RequestError(
            f"Airflow {wanted} is not in the matrix. Known: {known}.",
            "Choose one of these, a prefix (--airflow 3) or latest; or add the release: make add-airflow. "
            "For your own image with another Airflow, give all three flags: --base IMAGE --airflow X.Y.Z --python X.Y",
        )
    return matching


def _check_python_is_known(matrix: Matrix, request: Request) -> None:
    if request.python in matrix.pythons:
        return
    hint = f"Choose one of {', '.join(matrix.pythons)}."
    minor = ".".join(str(request.python).split(".")[:2])
    if minor != request.python and minor in matrix.pythons:
        hint = f"Images are selected by Python's major and minor version: --python {minor}"
    raise RequestError(f"Python {request.python} is not in the matrix.", hint)


def _impossible_pair(
    matrix: Matrix, releases: Sequence[AirflowRelease], request: Request, options: Options
) -> RequestError:
    """Return the error for a pair that does not exist, with what is valid, and commands that keep one half of it."""
    python = str(request.python)
    on_python = [r.version for r in matrix.releases if python in r.pythons]
    # The newest matching release, unless an older one has a Python nearer to the requested one.
    pairs = [(r, p) for r in reversed(releases) for p in r.pythons]
    minor = version_key(python)[1]
    release, nearest_python = min(pairs, key=lambda pair: abs(version_key(pair[1])[1] - minor))
    meant = (
        f"No Airflow {request.airflow} of the matrix runs"
        if len(releases) > 1
        else f"Airflow {release.version} does not run"
    )
    valid = "\n".join(f"  Airflow {r.version} runs on Python {', '.join(r.pythons)}." for r in releases)
    tail = _other_flags(request, options)
    return RequestError(
        f"{meant} on Python {python}.",
        f"{valid.strip()}\n"
        f"  Python {python} runs Airflow {', '.join(on_python)}.\n"
        f"  Nearest: python build.py --airflow {release.version} --python {nearest_python}{tail}\n"
        f"  or:      python build.py --airflow {on_python[-1]} --python {python}{tail}",
    )


def _other_flags(request: Request, options: Options) -> str:
    """Return the flags that a suggested command must repeat to mean the same image."""
    flags = (("--dags", request.dags), ("--dag-path", options.dag_path), ("--base", request.base))
    return "".join(f" {flag} {shlex.quote(str(value))}" for flag, value in flags if value)


def _resolve_many(matrix: Matrix, request: Request, options: Options) -> Resolution:
    releases = _matching_releases(matrix, request.airflow)
    if request.python is not None:
        _check_python_is_known(matrix, request)
        if not any(request.python in release.pythons for release in releases):
            raise _impossible_pair(matrix, releases, request, options)
    candidates = [
        _spec(matrix, replace(request, base=base), options, release.version, python, dags)
        for base in _bases(matrix, request)
        for release in releases
        for python in release.pythons
        if request.python in (None, python)
        for dags in ([request.dags] if request.dags else matrix.dag_modes)
    ]
    pattern = request.select or "*"
    # With --base slim, the pattern does not have to begin with slim-.
    selected = [
        spec
        for spec in candidates
        if fnmatchcase(spec.identifier, pattern)
        or (request.base and fnmatchcase(spec.identifier.removeprefix(spec.prefix), pattern))
    ]
    if not selected:
        raise RequestError(
            f"No image matches --select {shlex.quote(pattern)}.",
            "python build.py matrix lists the identifiers; patterns such as '3.*-python3.12-s3' select among them.",
        )
    specs = tuple(spec for spec in selected if spec.dags != "local" or options.dag_path is not None)
    if not specs:
        raise RequestError(*_NO_FOLDER)
    return Resolution(specs, f"left out mode local: {' '.join(_NO_FOLDER)}" if len(specs) < len(selected) else "")


def _bases(matrix: Matrix, request: Request) -> list[str | None]:
    """Return the base in the request; else the flavour that a pattern names, as in ``slim-3.*``; else the default."""
    if request.base is None and request.select:
        return [name for name in matrix.bases if request.select.startswith(f"{name}-")] or [None]
    return [request.base]


def _spec(matrix: Matrix, request: Request, options: Options, airflow: str, python: str, dags: str) -> ImageSpec:
    base = request.base or matrix.defaults.base
    flavour = matrix.bases.get(base)
    return ImageSpec(
        airflow=airflow,
        python=python,
        dags=dags,
        base_image=flavour.image_for(airflow, python) if flavour else base,
        base_digest=request.base_digest,
        flavour=base if flavour else "custom",
        install=flavour.install if flavour else (),
        options=options,
    )


def check_combination(request: Request, options: Options, images: Sequence[ImageSpec], tags: Sequence[str]) -> None:
    """Raise RequestError, which names the flags, for flags that contradict each other."""
    if len(images) > 1 and tags:
        raise RequestError(f"--tag names one image, but {len(images)} are selected.", "Use --repository instead.")
    pairs = len({(spec.airflow, spec.python) for spec in images})
    own_base = any(spec.flavour == "custom" for spec in images)
    if pairs > 1 and (request.base_digest or own_base):
        raise RequestError(
            f"{'--base IMAGE names' if own_base else '--base-digest pins'} one base, but images of {pairs} pairs of "
            "Airflow and Python are selected.",
            "Select one pair: --airflow and --python.",
        )
    modes = {spec.dags for spec in images}
    if options.dag_path is not None and "local" not in modes:
        raise RequestError("--dag-path is for DAG mode local.", "Add --dags local, or leave --dag-path out.")
    if options.s3_uri and "s3" not in modes:
        raise RequestError("--s3-uri is for DAG mode s3.", "Add --dags s3, or leave --s3-uri out.")
    if (options.plugins_path or options.config_path) and "local" not in modes:
        raise RequestError(
            "--plugins-path and --config-path are for DAG mode local.",
            "In mode s3 use --plugins-s3-uri and --config-s3-uri.",
        )
    if (options.plugins_s3_uri or options.config_s3_uri) and "s3" not in modes:
        raise RequestError(
            "--plugins-s3-uri and --config-s3-uri are for DAG mode s3.",
            "In mode local use --plugins-path and --config-path.",
        )
