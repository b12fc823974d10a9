"""What latent samplers gain over a Gaussian fitted to the codes of the same representation."""

import math
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from latent_ot.quantities import QUANTITIES
from latent_ot.record import COPIED, Record
from latent_ot.report.grid import pairs
from latent_ot.report.groups import unique
from latent_ot.report.marks import lost
from latent_ot.report.ranking import measured, primary
from latent_ot.report.statements import Statement, nothing, of_seeds, positive, scored, signed, times, whereabouts
from latent_ot.report.statistics import Interval, sampled, t_interval
from latent_ot.report.verdicts import SEEDS

GAUSSIAN = "gaussian"
"""The sampler that others stand beside: one normal distribution fitted to the codes, the least that a fit can do."""
ACROSS = 3
"""Representations that a sampler's mean over them asks for: of two, the interval has one degree of freedom."""

Outcome = Literal["helps", "hurts", "undecided", "repeats", "few"]


class Gain(NamedTuple):
    """What one representation gains in the metric that ranks, by a sampler in the place of the Gaussian.

    ``by``: the logarithm of the Gaussian's value over the sampler's; positive is a gain. ``runs`` are the sampler's,
    ``beside`` the Gaussian's at the same seeds.
    """

    representation: str
    sampler: str
    by: Interval
    runs: tuple[Record, ...]
    beside: tuple[Record, ...]
    outcome: Outcome


def gains(group: Sequence[Record]) -> list[Gain]:
    """Return the gain of every pair of one group that stands beside the Gaussian on the same codes, by name.

    At each seed both runs share one training of the representation (the key of its stage), so that they differ by the
    sampler alone. Values are compared by their ratio, the difference of logarithms: FIDs of one grid lie between 0.2
    and 40, so that differences would say more of a representation than of a sampler, and their mean would be the worst
    one's. A run whose samples have collapsed is compared with nothing.

    A pair that gains and repeats its training images ``repeats``, since no distance tells that from a better sampler.
    At fewer seeds than a claim should rest on (``verdicts.SEEDS``) they are too ``few``. Else it ``helps`` or
    ``hurts`` where the interval excludes 0, and is ``undecided`` where it does not, or where a run was lost at a seed.
    """
    metric, found, told = primary(group), pairs(group), list[Gain]()
    for (representation, sampler), runs in sorted(found.items()):
        gaussian = found.get((representation, GAUSSIAN), []) if sampler != GAUSSIAN else []
        both = {run.seed: (run, other) for run in runs for other in gaussian if _comparable(run, other, metric)}
        if both:
            ours, beside = zip(*both.values(), strict=True)
            by, gone = _gain(list(both.values()), metric), lost(both, metric, [*runs, *gaussian])
            outcome = _outcome(by, any(run.copying for run in ours), bool(gone))
            told.append(Gain(representation, sampler, by, ours, beside, outcome))
    return told


def _comparable(run: Record, other: Record, metric: str) -> bool:
    """Whether two runs share seed and training of the representation, and both have what is compared."""
    same = (run.seed, run.stages[0].key) == (other.seed, other.stages[0].key)
    return same and all(positive(r, metric) and not r.facts.get("collapsed") for r in (run, other))


def _gain(both: Sequence[tuple[Record, Record]], metric: str) -> Interval:
    """Return the mean gain of pairs of runs (ours, the Gaussian's), one a seed.

    Its interval is the wider of that over seeds and of sampling, as in tables; of a logarithm the latter is the
    half-width as a share of the value.
    """
    logs, halves = [], dict[int, float | None]()
    for seed, runs in enumerate(both):
        ours, gaussian = (run.metrics[metric] for run in runs)
        logs.append(math.log(gaussian / ours))
        shares = [half / run.metrics[metric] for run in runs if (half := run.half(metric)) is not None]
        halves[seed] = math.hypot(*shares) if len(shares) == len(runs) else None
    over = t_interval(logs)
    known = [half for half in (over.half, sampled(halves)) if half is not None]
    return Interval(over.mean, max(known, default=None), over.n)


def _outcome(by: Interval, copies: bool, gone: bool) -> Outcome:
    if copies and by.mean > 0:
        return "repeats"
    if by.n < SEEDS:
        return "few"
    if gone or by.low <= 0 <= by.high:
        return "undecided"
    return "helps" if by.mean > 0 else "hurts"


def across(told: Iterable[Gain]) -> dict[str, Interval]:
    """Return sampler -> its mean gain over ``ACROSS`` representations or more, most first.

    Each representation counts once, by the mean of its seeds, and the interval is that over representations. Pairs
    that repeat their training images are left out.
    """
    found: dict[str, list[float]] = {}
    for gain in told:
        if gain.outcome != "repeats":
            found.setdefault(gain.sampler, []).append(gain.by.mean)
    means = {sampler: t_interval(values) for sampler, values in found.items() if len(values) >= ACROSS}
    return dict(sorted(means.items(), key=lambda item: (-item[1].mean, item[0])))


def samplers(records: Sequence[Record]) -> list[Statement]:
    """Say of every group with pairs what samplers gain, those with the most comparable pairs first.

    First stand the means over representations, then what is known of each representation at enough seeds, last how
    many pairs lack seeds or a Gaussian on the same codes.
    """
    groups, found = scored(records), list[Statement]()
    told = {key: gains(group) for key, group in groups.items()}
    for key in sorted(groups, key=lambda key: -len(told[key])):
        at, metric, page = whereabouts(key, groups), primary(groups[key]), (f"{key.dataset}.md",)
        found += _means(told[key], at, metric, page)
        for name in dict.fromkeys(gain.representation for gain in told[key]):
            own = [gain for gain in told[key] if gain.representation == name and gain.outcome != "few"]
            found += [_of_representation(own, at, metric, page)] if own else []
        found += _not_told(groups[key], told[key], at, page)
    return found or [nothing("No sampler stands beside the Gaussian on the codes of one representation yet.", records)]


def _means(told: Sequence[Gain], at: str, metric: str, page: tuple[str, ...]) -> list[Statement]:
    """Return what samplers gain over representations; nothing where none stands with enough of them."""
    means, label = across(told), QUANTITIES[metric].label
    here = [gain for gain in told if gain.sampler in means and gain.outcome != "repeats"]
    here.sort(key=lambda gain: ([*means].index(gain.sampler), gain.representation))
    if not here:
        return []
    runs = {sampler: [run for gain in here if gain.sampler == sampler for run in gain.runs] for sampler in means}
    listed = {s: f"{signed(s, runs[s], metric)} {times(by)} over {by.n}" for s, by in means.items()}
    ways = {
        "lower than the Gaussian's with {}": [s for s, by in means.items() if by.low > 0],
        "higher with {}": [s for s, by in means.items() if by.high < 0],
        "not clearly either with {}": [s for s, by in means.items() if by.low <= 0 <= by.high],
    }
    said = [head.format(", ".join(listed[s] for s in names)) for head, names in ways.items() if names]
    text = f"On {at}, {label} is on average over representations {'; '.join(said)}"
    counts = sorted({gain.by.n for gain in here})
    text += f"; at {of_seeds(counts[0])} each" if len(counts) == 1 else f"; at {counts[0]} to {of_seeds(counts[-1])}"
    unknown = [gain for gain in here if gain.by.mean > 0 and not any(COPIED in run.metrics for run in gain.runs)]
    if unknown and metric == "fid":
        text += f"; of {len(unknown)} of these {len(here)} pairs FID is lower and it was not measured whether they"
        text += " repeat training images"
    return [Statement(f"{text}.", _of(here), page)]


def _of_representation(told: Sequence[Gain], at: str, metric: str, page: tuple[str, ...]) -> Statement:
    """Return what samplers gain with one representation."""
    heads: dict[Outcome, str] = {
        "helps": "lower with",
        "repeats": "lower, by repeating training images, with",
        "hurts": "higher with",
        "undecided": "not clearly either with",
    }
    ordered = sorted(told, key=lambda gain: (-abs(gain.by.mean), gain.sampler))
    said = []
    for outcome, head in heads.items():
        here = [gain for gain in ordered if gain.outcome == outcome]
        listed = (f"{signed(g.sampler, g.runs, metric)} {times(g.by)}, {of_seeds(g.by.n)}" for g in here)
        said += [f"{head} {'; '.join(listed)}"] if here else []
    base = measured(unique(run for gain in ordered for run in gain.beside), metric, always=False)
    start = (
        f"{told[0].representation} on {at}: {QUANTITIES[metric].label}, {base.text}{base.signs} with the Gaussian, is"
    )
    return Statement(f"{start} {', and '.join(said)}.", _of(ordered), page)


def _not_told(group: Sequence[Record], told: Sequence[Gain], at: str, page: tuple[str, ...]) -> list[Statement]:
    """Return why pairs of a group are not told of one by one; nothing where all are."""
    others = {pair: runs for pair, runs in pairs(group).items() if pair[1] != GAUSSIAN}
    without = others.keys() - {(gain.representation, gain.sampler) for gain in told}
    few = [gain for gain in told if gain.outcome == "few"]
    said = [f"{len(few)} at fewer than {SEEDS} seeds"] if few else []
    said += [f"{len(without)} without a Gaussian on the same codes"] if without else []
    if not told or not said:
        return []
    all_of_them = "so that none is told of by itself" if len(few) + len(without) == len(others) else "not told of here"
    runs = [*_of(few), *(run for pair in sorted(without) for run in others[pair])]
    text = f"Of {len(others)} pairs on {at} there are {' and '.join(said)}, {all_of_them}."
    return [Statement(text, tuple(unique(runs)), page)]


def _of(told: Iterable[Gain]) -> tuple[Record, ...]:
    """Return the runs that gains are of, each beside its Gaussian."""
    return tuple(unique(run for gain in told for both in zip(gain.runs, gain.beside, strict=True) for run in both))
