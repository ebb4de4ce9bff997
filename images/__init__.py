"""Build, verify and publish Airflow worker images; the command line is ``build.py``.

The build tool reads names, S3 URIs and images with the modules of the entrypoint and the executor, so that all of them
agree. Their sources are beside this package.
"""

import sys
from pathlib import Path

__version__ = "0.1.0"

_ROOT = Path(__file__).resolve().parent.parent
for _folder in ("entrypoint", "executor"):
    if str(_ROOT / _folder) not in sys.path:
        sys.path.insert(0, str(_ROOT / _folder))
