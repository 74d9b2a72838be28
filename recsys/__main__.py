"""``python -m recsys recommend FOLDER USER ... --k 10``: recommend from what ``recsys.serve.export`` wrote."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from recsys import serve


def main(argv: Sequence[str] | None = None) -> int:
    """Print one line for each recommended item: user, rank, item and score, separated by tabs."""
    parser = argparse.ArgumentParser(prog="python -m recsys", description="Recommend from an exported recommender.")
    commands = parser.add_subparsers(dest="command", required=True)
    known = commands.add_parser("recommend", help="the best items of users that they do not have yet")
    known.add_argument("folder", help="what recsys.serve.export wrote")
    known.add_argument("users", nargs="+", metavar="USER", help="original ids of users")
    known.add_argument("--k", type=int, default=10, help="items a user, at most (default: %(default)s)")
    known.add_argument("--unknown", choices=("refuse", "skip", "popular"), default="refuse", help="users not known")
    asked = parser.parse_args(argv)
    try:
        found = serve.recommend(asked.folder, asked.users, asked.k, unknown=asked.unknown)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    for user, items, scores, _ in found:
        for place, (item, score) in enumerate(zip(items, scores, strict=True), 1):
            sys.stdout.write(f"{user}\t{place}\t{item}\t{score:.6g}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
