"""An emulator of the ECS API. It runs in a process of its own, which ``local.ecs.control.EcsApi`` starts.

The modules: ``api`` (HTTP and the JSON 1.1 protocol) → ``model`` (types, by botocore's service model) → ``operations``
(what each operation does) with ``rules`` (what AWS refuses) and ``notation`` (how sizes and images are written) →
``state`` (clusters, task definitions, tasks) → ``lifecycle`` (a task's states) ↔ ``runner`` (the seam: who runs the
containers), ``simulated`` (nobody: behaviours).
``faults``, ``quotas`` and ``behaviour`` are what a test asks for, through ``endpoints``.

Imported by other Pythons and environments: nothing but the standard library may be imported here and in ``control``.
"""
