"""The marks of runs: signs behind what tables show of them, each with a footnote that says what it means.

A mark that a record bears by itself is given by a function in ``RULES``; a table may add others to its cells. Taken:
† ‡ § ¶ ‖ # ◊, all that LaTeX is told of, and counts of seeds, ``(2 of 3)``.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from latent_ot.record import SEARCHED, SETTLED, Record
from latent_ot.report.groups import gathered, numbered, unique, who

DAGGER = "†"
EDITED = "edited"
"""How the reasons why a record is outdated begin that are not the code's."""
STEEP = 1 / 5
"""By which share of itself FID must have fallen over the last half of a training that was cut off, or have risen."""
COLLAPSED = "the samples have collapsed, they vary less than a tenth as much as the data"
CHANCE = 0.1
"""How near to 1/2 the AUC of a discriminator is that tells nothing."""


class Mark(NamedTuple):
    """A ``sign`` behind numbers; ``name`` is what programs read, ``footnote`` what readers are told.

    ``quantities``: the keys of those that it stands behind; none: behind all that rests on the run.
    """

    sign: str
    name: str
    footnote: str
    quantities: tuple[str, ...] = ()

    def concerns(self, quantity: str) -> bool:
        """Whether it stands behind a quantity; the empty one stands for what is none, such as how a run ended."""
        return not self.quantities or quantity in self.quantities


def marks(record: Record) -> tuple[Mark, ...]:
    """Return the marks that a record bears."""
    return (*_outdated(record), *(mark for rule in RULES if (mark := rule(record))))


def said_against(record: Record, keys: Sequence[str]) -> list[str]:
    """Return in words what a run says against taking figures of it at their face, its age apart."""
    collapsed = [COLLAPSED] if record.facts.get("collapsed") else []
    found = (mark for rule in RULES if (mark := rule(record)))
    return collapsed + [mark.footnote for mark in found if any(map(mark.concerns, keys))]


def _outdated(record: Record) -> tuple[Mark, ...]:
    """Return one mark for each reason why today's code would give another result."""
    told = (
        why if why.startswith(EDITED) else f"today's code would give another result: {why}" for why in record.outdated
    )
    return tuple(Mark(DAGGER, "outdated", line) for line in told)


def followed(record: Record) -> str:
    """Return the curve of a run's FID; of a pair whose sampler is fitted last that under a Gaussian."""
    return "fid" if record.curves.series("fid") else "fid_gaussian"


def over_last_half(record: Record) -> tuple[float | None, float | None]:
    """Return the FID that a run followed after half of its budget, and at its end."""
    curve = followed(record)
    return record.at_share(curve, 1 / 2), record.at_share(curve, 1.0)


def since_lowest(record: Record) -> tuple[float | None, float | None]:
    """Return the lowest FID that a run followed before its end, and that at its end."""
    curve = followed(record)
    earlier = [value for _, value in record.curves.series(curve)[:-1] if value is not None]
    return min(earlier, default=None), record.at_share(curve, 1.0)


def cut_off(record: Record) -> Mark | None:
    """Mark a training that its budget cut off before it had finished, or that ended in one image."""
    half, end = over_last_half(record)
    falling = half is not None and end is not None and end < (1 - STEEP) * half
    if not falling and not record.facts.get("collapsed"):
        return None
    why = "FID still fell by more than a fifth over the last half of the budget, or the samples are one image"
    return Mark("‡", "cut off", f"training was cut off rather than finished: {why}", ("fid", "generator_updates"))


def rising(record: Record) -> Mark | None:
    """Mark a run whose FID rose while training went on, as that of codes does which a Gaussian describes ever less."""
    lowest, end = since_lowest(record)
    if end is None or lowest is None or end <= (1 + STEEP) * lowest:
        return None
    why = "FID is more than a fifth above what it was at an earlier snapshot"
    return Mark("#", "rising", f"it became worse while training went on: {why}", ("fid",))


PAST = Mark(
    "§",
    "past the floor",
    "past what real data of as many samples reach: too close to the training data, or too narrow; not better, "
    "ranked by its distance from there and never first",
)
"""Of a number past its quantity's floor: it depends on the table, so that no rule gives it."""


def lost(found: Collection[int], key: str, records: Iterable[Record]) -> dict[int, Record]:
    """Return seed -> run that lost a figure which others of a row's ``records`` have, at the seeds ``found``.

    It diverged or failed, or says why it has none; of one that is older than the figure nobody knows.
    """
    without = (run for run in records if run.seed not in found)
    return {run.seed: run for run in without if run.status in ("diverged", "failed") or key in run.reasons}


def survivors(found: Collection[int], without: Mapping[int, Record]) -> tuple[Mark, ...]:
    """Mark the mean over the seeds ``found`` of a figure that runs were ``without`` at others; see ``lost``.

    Its sign is the count. It depends on the row, so that no rule gives it.
    """
    if not without:
        return ()
    count = f"{len(found)} of {len(found) + len(without)}"
    ways = gathered(("not measurable" if run.status == "done" else run.status, seed) for seed, run in without.items())
    how = "; ".join(f"{way} at {numbered(seeds)}" for way, seeds in sorted(ways.items()))
    said = f"the mean of the seeds that have the figure, hence never best or first; {how}"
    return (Mark(f" ({count})", f"{count} seeds", said),)


def without_adversary(record: Record) -> Mark | None:
    """Mark a run whose adversary never told held-out images from samples: at no snapshot and not at the end.

    To be at chance at the end alone is what a GAN is for. An AUC within 0.1 of 1/2, eight standard errors for 1,000
    images and 1,000 samples, lets a discriminator of normal scores be right in at most 57 % of cases.
    """
    followed = [value for _, value in record.curves.series("discriminator_auc")]
    if len(followed) < 2 or any(value is None or abs(value - 1 / 2) >= CHANCE for value in followed):
        return None
    why = f"at every snapshot and at the end its AUC is within {CHANCE:g} of 0.5 on held-out images against samples"
    return Mark("¶", "discriminator at chance", f"the adversary never took part: {why}", ("fid", "is", "modes"))


def unsettled(record: Record) -> Mark | None:
    """Mark a run whose search for the codes of held-out images had not ended: it reconstructs better than it says."""
    if not record.unsettled:
        return None
    why = f"PSNR changed by more than {SETTLED:g} dB over the second half of its steps"
    return Mark(
        "‖", "search not converged", f"the search for held-out images' codes had not converged: {why}", SEARCHED
    )


COPYING = "repeats its training images"
"""What the block of a ranked table is called that has such rows."""
HELPED = (
    "", "fid", "fid_inf", "fid_test", "is", "kid", "prd_f8", "prd_f1_8", "precision", "recall", "density", "coverage",
    "interp_fid", "class_tv", "sharpness", "classes", "confidence",
)  # fmt: skip
"""Figures of samples that are good of training images given back, and what rests on a run as a whole."""


def copying(record: Record) -> Mark | None:
    """Mark a run whose samples are too often training images given back; what stands beside it says so."""
    why = (
        "more of its samples than of held-out images, past the interval of those, are nearer to a training image than "
        "that is to its nearest other; no distance to the data tells this from generating"
    )
    return Mark("◊", "repeats training images", f"{COPYING}: {why}", HELPED) if record.copying else None


RULES: tuple[Callable[[Record], Mark | None], ...] = (cut_off, rising, without_adversary, unsettled, copying)


def footnotes(borne: Iterable[tuple[Mark, Record]], among: Sequence[Record]) -> list[str]:
    """Return one line for each footnote, with its sign and whose runs bear it; see ``groups.who`` for ``among``."""
    found: dict[tuple[str, str], list[Record]] = {}
    for mark, record in borne:
        found.setdefault((mark.sign, mark.footnote), []).append(record)
    return [f"{sign.strip()}: {said} ({who(unique(runs), among)})" for (sign, said), runs in found.items()]


def outdated(records: Sequence[Record], among: Sequence[Record] = ()) -> list[str]:
    """Return one line a reason: why records are outdated, and which; see ``groups.who``."""
    borne = ((mark, record) for record in records for mark in _outdated(record))
    return [line.partition(": ")[2] for line in footnotes(borne, among or records)]
