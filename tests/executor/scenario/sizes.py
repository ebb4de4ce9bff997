"""The scenarios' DAGs, and how often the task of each is mapped.

SCENARIO_TASKS in the environment changes how many tasks the largest has; half of them run at once.
"""

from __future__ import annotations

import os

TASKS = int(os.environ.get("SCENARIO_TASKS", "1000"))
FAILOVER_TASKS = 200
SPOT_TASKS = 8
MANY, FAILOVER, SPOT = "many", "failover", "spot"
MISFIT, FIT, CHOSEN = "misfit", "fit", "chosen"
SIZES = {MANY: TASKS, FAILOVER: FAILOVER_TASKS, SPOT: SPOT_TASKS, MISFIT: 1, FIT: 1, CHOSEN: 1}
