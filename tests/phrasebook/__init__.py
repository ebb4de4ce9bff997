"""Real messages of AWS, Docker and registries, and what this project makes of them.

Each line of a corpus (``*.jsonl``) is an entry of `tests.phrasebook.entry`: a message as somebody met it, with its
source, what it means, and what useful advice has to say. ``python -m tests.phrasebook`` prints the score.
"""
