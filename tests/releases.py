"""The Airflow releases that tests run on, from the matrix: a test names what a release is, not its version."""

from __future__ import annotations

from images.matrix import load_matrix

MATRIX = load_matrix()
OLDEST = MATRIX.releases[0]
"""The oldest release; on its oldest Python it is the oldest pair: ``OLDEST.version``, ``OLDEST.pythons[0]``."""
NEWEST_2 = MATRIX.matching("2")[-1]
NEWEST_3 = MATRIX.matching("3")[-1]
