"""Print how many real messages of AWS, Docker and registries are understood: python -m tests.phrasebook [CORPUS …].

Without a CORPUS, those of this folder. Exit code: 0, whatever the score; 2 if a corpus cannot be read.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections import defaultdict
from pathlib import Path

from tests.phrasebook.entry import CORPORA, CorpusError, read
from tests.phrasebook.score import Result, judge, score


def _print(results: list[Result], by_kind: dict[str, list[Result]]) -> None:
    print(f"{'all':30} {score(results)}")
    for kind, part in sorted(by_kind.items()):
        print(f"  {kind:28} {score(part)}")
    for result in sorted(results, key=lambda item: (item.passed, -item.entry.common, item.entry.kind)):
        if not result.complaints:
            continue
        entry = result.entry
        print(f"\n{'nice' if result.passed else 'FAILED'} {entry.id} ({entry.kind}, common {entry.common}): "
              f"{'; '.join(result.complaints)}")  # fmt: skip
        print(f"  {entry.code} {entry.http_status}: {entry.message!r}")
        if entry.extra:
            print(f"  {json.dumps(entry.extra, ensure_ascii=False)}")
        print(f"  advice: {result.answer.advice!r}")


def main(arguments: list[str] | None = None) -> int:
    """Print the score of corpora."""
    parser = argparse.ArgumentParser(prog="python -m tests.phrasebook", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("corpus", metavar="CORPUS", nargs="*", type=Path, default=CORPORA, help="JSON Lines files")
    options = parser.parse_args(arguments)
    try:
        results = [judge(entry) for path in options.corpus for entry in read(path)]
    except CorpusError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    by_kind: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_kind[result.entry.kind].append(result)
    _print(results, by_kind)
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` ends it in order
    sys.exit(main())
