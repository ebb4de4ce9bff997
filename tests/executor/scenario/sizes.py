"""The scenarios' DAGs, and how often the task of each is mapped.

SCENARIO_TASKS in the environment changes how many tasks the largest has; half of them run at once.
"""

from __future__ import annotations

import os

TASKS = int(os.environ.get("SCENARIO_TASKS", "200"))
FAILOVER_TASKS = 60
SPOT_TASKS = 4
GONE_TASKS = 3
MANY, FAILOVER, SPOT, GONE = "many", "failover", "spot", "gone"
SIZES = {MANY: TASKS, FAILOVER: FAILOVER_TASKS, SPOT: SPOT_TASKS, GONE: GONE_TASKS}
