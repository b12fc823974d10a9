"""How the rows of a group lie beside the training images: figures of memorising, of samples and of reconstructions."""

from collections.abc import Sequence

from latent_ot.quantities import QUANTITIES
from latent_ot.record import COPIED, DATA, REBUILT, TRAINING, Record
from latent_ot.report.groups import by_method
from latent_ot.report.ranking import KNOWN, YARDSTICK, measured
from latent_ot.report.text import Cell, Column, Grid

FIRST = ("fid", "fid_test", COPIED)
READING = (
    f"{QUANTITIES[COPIED].label}: share of samples nearer to a training image than that is to its nearest other. "
    "near training: share nearer to one than all but 5 % of held-out images are. C_T: below -3 samples are nearer to "
    "training images than held-out ones are. FLD gap: the lower, the likelier samples make the training images than "
    "held-out ones. rebuilt: training images as the method makes them of their own codes, which shows what it blurs."
)


def copies_table(group: Sequence[Record]) -> Grid | None:
    """Return the table of one group of ``by_protocol``; None where no run was looked at."""
    more = [key for key, quantity in QUANTITIES.items() if quantity.group == "copies" and key not in FIRST]
    keys, every = [*FIRST, *more], by_method(group, "done")
    if not any(key in run.metrics for runs in every.values() for run in runs for key in keys[1:]):
        return None
    yardstick = every.pop(DATA, [])
    named = [(YARDSTICK, yardstick), (KNOWN, _beside(yardstick, TRAINING)), *sorted(every.items())]
    columns = [Column("method", "method", right=False)]
    for key in keys:
        label = QUANTITIES[key].label
        columns += [Column(key, label), Column(f"{REBUILT}_{key}", f"{label}, rebuilt")]
    rows = [
        (
            Cell(name, {"": DATA if name == YARDSTICK else name}),
            *(measured(of, key, always=False) for key in keys for of in (runs, _beside(runs, REBUILT))),
        )
        for name, runs in named
        if runs
    ]
    return Grid("Beside the training images", tuple(columns), tuple(rows), (READING,))


def _beside(runs: Sequence[Record], name: str) -> list[Record]:
    """Return the runs that have a yardstick, with its figures in place of their own."""
    return [found for run in runs if (found := run.yardstick(name))]
