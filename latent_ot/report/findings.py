"""The findings that the front page begins with: sentences made of the records by rules, each with what it rests on.

A rule is a function records -> ``Statement``s. ``TOPICS`` has them in the order of the page, each with the words that
tell readers of it. Marks, ties, grids, verdicts and stand-ins are those of the tables and claims, so that no sentence
says other than they do; as there, all seeds of a row count, and † marks what rests on an outdated record.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from latent_ot.record import COPIED, DATA, Record
from latent_ot.report.against import orders, published
from latent_ot.report.gains import samplers
from latent_ot.report.groups import Group, by_method, unique
from latent_ot.report.marks import cut_off, followed, over_last_half, rising, since_lowest
from latent_ot.report.ranking import measured, primary, seeds
from latent_ot.report.statements import (
    Statement,
    aged,
    fullest_first,
    nothing,
    of_seeds,
    scored,
    some,
    times,
    whereabouts,
)
from latent_ot.report.statistics import t_interval
from latent_ot.report.verdicts import SEEDS
from latent_ot.results import repeating

TINY = 1e-9
"""The least FID that a ratio is made of."""


@dataclass(frozen=True)
class Topic:
    """A heading, the rule beneath it in words, and what it found."""

    title: str
    rule: str
    statements: tuple[Statement, ...]


def findings(records: Sequence[Record]) -> list[Topic]:
    """Return what records say, topic by topic; of no records nothing."""
    return [Topic(title, words, tuple(_at_most(most, rule(records)))) for title, words, rule, most in TOPICS if records]


def _at_most(most: int, found: Sequence[Statement]) -> list[Statement]:
    """Return the first statements, and in the place of more than ``most`` one that counts and links the others."""
    if len(found) <= most:
        return [*found]
    others = found[most - 1 :]
    runs = unique(run for statement in others for run in statement.runs)
    linked = dict.fromkeys(page for statement in others for page in statement.pages)
    text = f"{len(others)} more sentences of this kind are left out."
    return [*found[: most - 1], Statement(text, tuple(runs), tuple(linked))]


def memorising(records: Sequence[Record]) -> list[Statement]:
    """Say of every group of images which methods repeat their training images (``results.repeating``), most first.

    Beside their shares, the means over seeds, stands how many of them have a lower FID than every other method that
    it was measured of: what a ranking by FID alone would put first. Last stand the groups without that measure.
    """
    groups, found, unknown = scored(records), list[Statement](), list[Group]()
    for key in fullest_first(groups):
        runs = by_method(groups[key], "done")
        data, copies = runs.pop(DATA, []), repeating(groups[key])
        asked = {name: of for name, of in runs.items() if seeds(of, COPIED)}
        if copies is None:
            unknown += [key] if runs and primary(groups[key]) == "fid" else []
            continue
        share = {name: fmean(seeds(of, COPIED).values()) for name, of in asked.items()}
        most = sorted(asked, key=lambda name: (-share[name], name))
        named = [name for name in most if name in copies]
        cells = [(name, measured(asked[name], COPIED, always=False)) for name in named or most[:1]]
        shown = some([f"{name} {cell.text}{cell.signs}, {of_seeds(len(cell.rests))}" for name, cell in cells])
        text = f"On {whereabouts(key, groups)}, of {len(asked)} methods of which it was measured "
        text += f"{len(named)} repeat training images: {shown}" if named else f"none does; the largest share: {shown}"
        text += f", beside {measured(data, COPIED, always=False).text} of held-out images"
        fid = {name: fmean(values) for name, of in asked.items() if (values := seeds(of, "fid").values())}
        best = min((value for name, value in fid.items() if name not in copies), default=-math.inf)
        lower = sum(fid[name] < best for name in named if name in fid)
        text += f"; FID below that of all others measured: {lower} of them" if lower else ""
        text += f"; not measured: {len(runs) - len(asked)}" if len(runs) > len(asked) else ""
        rests = tuple(run for name in named or most[:1] for run in asked[name])
        found.append(Statement(f"{text}.", rests, (f"{key.dataset}.md",)))
    if unknown:
        text = f"It was not measured on {some([whereabouts(key, groups) for key in unknown])}."
        found.append(Statement(text, (), tuple(dict.fromkeys(f"{key.dataset}.md" for key in unknown))))
    return found or [nothing("No images were scored yet.", records)]


class Course(NamedTuple):
    """One method's FID over its training, or one representation's under a Gaussian: ``runs`` of different trainings."""

    name: str
    runs: tuple[Record, ...]


def courses(group: Sequence[Record]) -> list[Course]:
    """Return what of a group was followed, by name; runs of several samplers on one training count once.

    A run whose samples have collapsed is left out: what its FID does tells nothing of training.
    """
    found: dict[tuple[str, str], dict[str, Record]] = {}
    for run in group:
        curve = followed(run)
        if run.status == "done" and run.curves.series(curve) and not run.facts.get("collapsed"):
            part = run.stages[0].stage if run.stages else run.method
            unit = (part, json.dumps(run.config.get(part), sort_keys=True)) if curve != "fid" else (run.method, "")
            training = run.stages[0].key if curve != "fid" else run.stem
            found.setdefault(unit, {}).setdefault(training, run)
    alike = [part for part, _ in found]
    told = []
    for (part, settings), trainings in found.items():
        runs = tuple(sorted(trainings.values(), key=lambda run: run.seed))
        several = f" of {runs[0].method}" if settings and alike.count(part) > 1 else ""
        told.append(Course(f"{part}{several}", runs))
    return sorted(told, key=lambda course: course.name)


def training(records: Sequence[Record]) -> list[Statement]:
    """Say of every group that was followed what still fell and what had risen, by the marks ‡ and #, most first."""
    groups, found = scored(records), list[Statement]()
    for key in fullest_first(groups):
        told, at, page = courses(groups[key]), whereabouts(key, groups), (f"{key.dataset}.md",)
        if not told:
            continue
        falling, risen = _moving(told, cut_off, over_last_half), _moving(told, rising, since_lowest)
        ways = {"still fell at the end of training in": falling, "has risen in": risen}
        for way, marked in ways.items():
            if marked:
                text = f"On {at}, FID {way} {len(marked)} of {len(told)} that were followed: {some([*marked])}."
                found.append(Statement(text, tuple(unique(run for runs in marked.values() for run in runs)), page))
        if not falling and not risen:
            text = f"On {at}, FID still fell or has risen in none of {len(told)} that were followed."
            found.append(Statement(text, tuple(run for course in told for run in course.runs), page))
    return found or [nothing("No run's FID was followed over its training yet.", records)]


def _moving(
    told: Sequence[Course],
    mark: Callable[[Record], object],
    way: Callable[[Record], tuple[float | None, float | None]],
) -> dict[str, list[Record]]:
    """Return what is said of each course with marked runs -> these, those courses first that moved by most.

    ``way``: from which FID to which a marked run moved.
    """
    found = []
    for course in told:
        if marked := [run for run in course.runs if mark(run)]:
            moved = t_interval([_fallen(*way(run)) for run in marked])
            said = f"{course.name}{aged(marked)} {times(moved)}, {of_seeds(len(marked), len(course.runs))}"
            found.append((-abs(moved.mean), said, marked))
    return {said: marked for _, said, marked in sorted(found, key=lambda item: item[:2])}


def _fallen(before: float | None, after: float | None) -> float:
    """Return by how much, as a logarithm, FID fell; below 0 where it rose."""
    return math.log(max(before or TINY, TINY) / max(after or TINY, TINY))


TOPICS: tuple[tuple[str, str, Callable[[Sequence[Record]], list[Statement]], int], ...] = (
    (
        "Which sampler helps which representation",
        "A sampler's FID beside the Gaussian's on the very codes of the same training, seed by seed: ÷2.0 is half "
        "of it, ×2.0 twice. In brackets the 95 % interval, the wider of that over seeds and of sampling; of a mean "
        "over representations, each of which counts once, that over them, and how many they are. Of a single "
        f"representation it is told at {SEEDS} seeds or more: lower or higher where the interval leaves out 1. What "
        "repeats training images does not help. One interval in twenty misses by chance.",
        samplers,
        10,
    ),
    (
        "What memorises",
        "Samples repeat training images if the share that lies nearer to one of them than that does to its nearest "
        "other is, as a mean over seeds, above the interval of held-out images' share.",
        memorising,
        3,
    ),
    (
        "What still falls or has risen with training",
        "Falling: FID fell by more than a fifth over the last half of the budget, ÷ by how much. Risen: it ended "
        "more than a fifth above an earlier snapshot, × by how much. In brackets the 95 % interval over the seeds "
        "that did. Where a sampler is fitted after the training, it is FID under a Gaussian on the codes, and what "
        "several samplers share counts once. Collapsed samples are left out.",
        training,
        4,
    ),
    (
        "Which published orders hold at which scale",
        "Orders are the claims that one method is better than another, judged as on the page of claims, but at each "
        "scale by itself: one holds, or is reversed, where the 95 % interval over seeds, paired, leaves out 0 in "
        "every comparison that it makes.",
        orders,
        4,
    ),
    (
        "Where ours and published differ most",
        "Ours over the published number, ÷ where ours is lower, of figures of which less is better. Of images it is "
        "told beside the median of the column, since another evaluator moves all its rows alike, and of three rows "
        "or more; of points, which need no evaluator, as it is. What repeats training images or collapsed is left "
        "out.",
        published,
        4,
    ),
)
"""Title, rule in words, rule, and the most sentences: 25 in all, which is a page."""
