"""Which of our runs stand beside a column of a published table: those of its rows on one data set, budget and protocol.

A row is one method with one set of settings, so that a record stands in it only if the settings agree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from latent_ot.budgets import settings
from latent_ot.datasets.base import names as datasets
from latent_ot.errors import InputError, nearest
from latent_ot.published import PublishedColumn, PublishedRow, PublishedTable, stand_ins, stands_for
from latent_ot.quantities import QUANTITIES
from latent_ot.record import DATA, Record, at
from latent_ot.report.curves import at_share, curve_figure, figure_path, line, of_seeds
from latent_ot.report.groups import Group, by_protocol, lettered
from latent_ot.report.ranking import NOT_SAMPLED, compared, halves, seeds, standing, summed_up
from latent_ot.report.text import Cell


@dataclass(frozen=True)
class Beside:
    """A published column with our runs beside it, those of one ``group``; there may be none.

    ``tag`` names the protocol, threads and devices, `` [a]``, in a table that holds numbers of more than one of these,
    and is empty otherwise.
    """

    spec: PublishedTable
    column: PublishedColumn
    dataset: str
    runs: list[Record]
    group: Group | None = None
    tag: str = ""

    @property
    def key(self) -> str:
        """The column's name for programs; it names the protocol where the table holds several."""
        return self.column.key + (f"@{self.under}" if self.tag else "")

    @property
    def under(self) -> str:
        """The protocol that the runs share, with threads and devices where they were not one; empty without runs."""
        if self.group is None:
            return ""
        return at(self.group.protocol, self.group.threads, self.group.devices).replace(", ", "@")

    def of(self, row: PublishedRow) -> list[Record]:
        """Return our runs of a row."""
        asked = self.spec.asked(row, self.column)
        return [r for r in self.runs if r.is_run_of(*asked)]

    def values(self, row: PublishedRow, share: float = 1.0) -> dict[int, float]:
        """Return seed -> our value of a row; of a curve, at a share of the budget."""
        if self.column.curve:
            return at_share(self.of(row), self.column.curve, share)
        return seeds(self.of(row), self.column.metric)

    def cells(self, share: float = 1.0) -> list[Cell]:
        """Return the cell of each of the table's rows; see ``values``."""
        metric, values = self.column.metric, {row.label: self.values(row, share) for row in self.spec.rows}
        methods = {row.label: self.of(row) for row in self.spec.rows if row.method != DATA}
        data = [r for r in self.runs if r.method == DATA]
        curve = self.column.curve is not None  # which was measured at every place once, without an interval
        drawn = NOT_SAMPLED if curve else {row.label: halves(self.of(row), metric) for row in self.spec.rows}
        shown = {label: values[label] for label in methods}
        stand = standing(compared(metric, shown, methods, data, self.column.direction, drawn))
        return [
            summed_up(values[row.label], metric, self.of(row), True, row.label, stand, drawn.get(row.label, {}))
            for row in self.spec.rows
        ]

    @cached_property
    def figure(self) -> str:
        """Where the drawing of a curve lies in the leaderboard's folder; empty without a run that has the curve."""
        if not self.group or not self.column.curve or not any(self.values(row) for row in self.spec.rows):
            return ""
        return figure_path(self.group, f"{self.spec.id}-{self.column.key}")

    @property
    def title(self) -> str:
        """Of the drawing."""
        return f"{QUANTITIES[self.column.metric].label} of {self.spec.id} on {self.dataset}"

    def draw(self) -> bytes:
        """Return the drawing of a curve, one line a seed, as SVG; see ``figure``."""
        curve = self.column.curve or ""
        rows = {}
        for row in self.spec.rows:
            runs = self.of(row)
            drawn = {r.seed: found for r in runs if r.status == "done" and (found := line(r, curve))}
            rows[of_seeds(row.label, drawn, self.column.metric, runs) if drawn else row.label] = [*drawn.values()]
        return curve_figure(self.title, self.column.metric, rows)


def places(
    spec: PublishedTable,
    dataset: str | None,
    budget: str | None,
    records: Sequence[Record],
    ran: Mapping[str, str] | None = None,
) -> list[Beside]:
    """Return the columns that are shown, each with our runs; repeated for each protocol that we have numbers under.

    Args:
        spec: the table.
        dataset: ours; only the columns that it stands for are shown. None: all columns, each beside its own data set,
            or where nothing was run on that, beside one that stands for it.
        budget: of our runs; None: the suite's default where the rows were run at it, else the largest.
        records: all result records.
        ran: published data set -> the one of ours to show in its place, where ``dataset`` is None.

    Raises:
        InputError: for a data set that can stand in no column.
    """
    columns = spec.columns_for(dataset) if dataset else spec.columns
    if dataset and not any(c.dataset == stands_for(dataset) for c in columns):
        known = {*datasets(), *(r.dataset for r in records)} if columns else set()
        if dataset not in known:
            allowed = list(dict.fromkeys([d for c in spec.columns for d in stand_ins()[c.dataset]] + sorted(known)))
            listed = ", ".join(allowed) or "none, it has no columns"
            near = nearest(dataset, allowed)
            raise InputError(f"dataset '{dataset}' stands for no column of {spec.id}; allowed: {listed}{near}")
    found: list[Beside] = []
    for column in columns:
        subsets = sorted({r.dataset for r in records if stands_for(r.dataset) == column.dataset})
        fixed = dataset or (ran or {}).get(column.dataset)
        candidates = [fixed] if fixed else list(dict.fromkeys([*stand_ins()[column.dataset], *subsets]))
        options = (_groups(spec, column, ours, budget, records) for ours in candidates)
        found += next(filter(None, options), [Beside(spec, column, candidates[0], [])])
    tags = lettered(p.under for p in found if p.runs)
    return [replace(p, tag=tags[p.under]) if p.runs else p for p in found]


def _groups(
    spec: PublishedTable, column: PublishedColumn, ours: str, budget: str | None, records: Sequence[Record]
) -> list[Beside]:
    """Return a column beside each protocol under which a data set has runs of the table's rows, at one budget."""
    here = [r for r in records if r.dataset == ours]
    of_rows = [spec.asked(row, column) for row in spec.rows if row.method != DATA]
    runs = [r for r in here if any(r.is_run_of(*row) for row in of_rows)]
    groups = by_protocol([*runs, *(r for r in here if r.method == DATA)])
    if runs or all(row.method != DATA for row in spec.rows):
        groups = {key: group for key, group in groups.items() if any(r.method != DATA for r in group)}
    run_at = [key.budget for key in groups]  # largest first
    usual = settings()["defaults"]["budget"]
    chosen = budget or (usual if usual in run_at else next(iter(run_at), None))
    return [Beside(spec, column, ours, group, key) for key, group in groups.items() if key.budget == chosen]


def drawn_for(spec: PublishedTable, dataset: str, budget: str, records: Sequence[Record]) -> list[Beside]:
    """Return the curves of a table that can be drawn for a data set."""
    return [p for p in places(spec, dataset, budget, records) if p.figure] if spec.columns_for(dataset) else []
