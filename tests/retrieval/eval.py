"""`python -m tests.retrieval.eval`: how well the index answers the golden set, on each leg and as `auto` decides.

Builds the corpus, its lake and the index below the temporary folder, once for the same code. Exits with 1 if `auto`
does worse than its best single leg on any kind of question.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final, cast

from rich.console import Console
from rich.table import Table

from tests.retrieval.corpus import facts
from tests.retrieval.data_root import DataRoot
from tests.retrieval.evaluation import ALL, DEPTH, Asked, Leg, evaluate, worse_than_a_leg
from tests.retrieval.matching import Matcher
from tests.retrieval.questions import HALVES, HELD_OUT, TUNED, Question, questions_of
from tests.retrieval.searcher import LEGS, Searcher

SEARCHER: Final = "tests.retrieval.index_searcher:open_searcher"
OpenSearcher = Callable[..., Searcher]
"""`open_searcher(root, rebuild=BOOL)`: makes the index of a data root where it is missing, or anew, and opens it."""
_WIDTH: Final = 170
_MEASURES: Final = (("hit@1", "hit_1"), ("hit@5", "hit_5"), ("MRR@10", "mrr_10"), ("nDCG@10", "ndcg_10"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate, and print tables or JSON; return the exit code."""
    options = _parser().parse_args(arguments)
    halves = HALVES if options.held_out else (TUNED,)
    data = DataRoot.made(options.cache)
    searcher = _opener(options.searcher)(data.root, rebuild=data.is_index_stale)
    data.note_indexed()
    matcher = Matcher(facts(), data.sessions)
    legs = options.leg or list(LEGS)
    results = {half: evaluate(searcher, questions_of(half), legs, matcher) for half in halves}
    faults = {half: worse_than_a_leg(result) for half, result in results.items()}
    if options.json:
        print(json.dumps(_as_json(results, faults, with_failures=options.failures)))
    else:
        _print(results, faults, with_failures=options.failures)
    return 1 if any(faults.values()) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.retrieval.eval", description=__doc__)
    parser.add_argument("--held-out", action="store_true", help="ask the held-out half, too")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--leg", action="append", choices=LEGS, help="ask this leg only; may be repeated")
    parser.add_argument("--failures", action="store_true", help="list the questions without a right answer up front")
    parser.add_argument("--searcher", default=SEARCHER, metavar="MODULE:FUNCTION", help=f"default {SEARCHER}")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="where the data root is kept (temporary folder)")
    return parser


def _opener(name: str) -> OpenSearcher:
    module, _, function = name.partition(":")
    return cast(OpenSearcher, getattr(import_module(module), function))


def _as_json(results: dict[str, list[Leg]], faults: dict[str, list[str]], *, with_failures: bool) -> object:
    content = {half: {"legs": [leg.as_dict() for leg in legs], "worse": faults[half]} for half, legs in results.items()}
    if with_failures:
        for half, legs in results.items():
            content[half]["failures"] = {leg.name: [_failure(half, asked) for asked in _failures(leg)] for leg in legs}
    return content


def _print(results: dict[str, list[Leg]], faults: dict[str, list[str]], *, with_failures: bool) -> None:
    console = Console(width=_WIDTH)
    for half, legs in results.items():
        console.print(_quality_table(half, legs))
        console.print(_abstention_table(legs))
        for line in faults[half]:
            console.print(f"auto is worse than a single leg: {line}")
        for leg in legs if with_failures else ():
            console.print(f"\n{leg.name}: not right at rank 1", style="bold")
            for asked in _failures(leg):
                console.print(json.dumps(_failure(half, asked), ensure_ascii=False), markup=False, highlight=False)


def _quality_table(half: str, legs: Sequence[Leg]) -> Table:
    table = Table("kind", "n", title=f"{half.replace('_', '-')} half")
    for leg in legs:
        for title, _ in _MEASURES:
            table.add_column(f"{leg.name}\n{title}", justify="right")
    for kind, measured in legs[0].quality.items():
        figures = [f"{getattr(leg.quality[kind], name):.3f}" for leg in legs for _, name in _MEASURES]
        table.add_row(kind, str(measured.questions), *figures, style="bold" if kind == ALL else "")
    return table


def _abstention_table(legs: Sequence[Leg]) -> Table:
    table = Table("declined", *(leg.name for leg in legs))
    table.add_row("unanswerable questions", *(f"{leg.abstention.declined:.3f}" for leg in legs))
    table.add_row("answerable ones, wrongly", *(f"{leg.abstention.wrongly:.3f}" for leg in legs))
    return table


def _failures(leg: Leg) -> list[Asked]:
    """Return what a leg got wrong: no right answer in the first place, or a wrong word on being answerable."""
    return [
        asked
        for asked in leg.asked
        if (asked.question.answerable and asked.rank != 1) or asked.answerable != asked.question.answerable
    ]


def _failure(half: str, asked: Asked) -> dict[str, object]:
    """Return what is printed of a failure; of the held-out half nothing that could be tuned to."""
    known: dict[str, object] = {"id": asked.question.id, "rank": asked.rank, "answerable": asked.answerable}
    if half == HELD_OUT:
        return known
    return {**known, "ask": asked.question.text, "wanted": _wanted(asked.question), "first": _first(asked)}


def _wanted(question: Question) -> list[str]:
    return [" ".join(filter(None, (target.kind, target.event, target.name))) for target in question.targets]


def _first(asked: Asked) -> list[str]:
    keys = ("kind", "event_type", "field_path", "game_id", "timestamp")
    shown = [[str(hit.metadata[key]) for key in keys if hit.metadata.get(key)] for hit in asked.hits[: DEPTH // 2]]
    return [" ".join(words) for words in shown]


if __name__ == "__main__":
    sys.exit(main())
