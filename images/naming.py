"""Tags of an image. Pure."""

from __future__ import annotations

from images.matrix import Matrix
from images.spec import ImageSpec


def tags(matrix: Matrix, spec: ImageSpec) -> tuple[str, ...]:
    """Return the tags of an image: its identifier first, then shorter aliases.

    An alias drops what is the default or the newest: ``2.10.5-s3`` (the release's default Python),
    ``2.10-python3.8-s3`` and ``2-python3.8-s3`` (the newest release on that Python), ``2.10-s3``, ``2-s3``. A pair that
    the matrix does not know, on a base of the user's own, has no alias.
    """
    names = [spec.identifier]
    if not any(spec.airflow == r.version and spec.python in r.pythons for r in matrix.releases):
        return tuple(names)
    default = spec.python == matrix.release(spec.airflow).default_python
    if default:
        names.append(f"{spec.prefix}{spec.airflow}-{spec.dags}")
    for length in (2, 1):
        short = ".".join(spec.airflow.split(".")[:length])
        siblings = matrix.matching(short)
        on_python = [r for r in siblings if spec.python in r.pythons]
        if on_python[-1].version == spec.airflow:
            names.append(f"{spec.prefix}{short}-python{spec.python}-{spec.dags}")
        if default and siblings[-1].version == spec.airflow:
            names.append(f"{spec.prefix}{short}-{spec.dags}")
    return tuple(names)
