"""What a benchmark would do, as a table: each stage, how it stands, and what is left of it."""

from collections.abc import Mapping
from typing import Any

from latent_ot.quantities import NONE
from latent_ot.report.text import Cell, Column, Grid
from latent_ot.terminal import clock

COLUMNS = (
    Column("label", "stage", right=False),
    Column("state", "state", right=False),
    Column("seconds", "left"),
    Column("source", "known from", right=False),
)


def forecast_grid(found: Mapping[str, Any]) -> Grid:
    """Return the table of an outlook, as ``bench.forecast`` returns it."""
    rows = []
    for stage in found["stages"]:
        state = stage["state"] + (f" at {stage['share']:.0%}" if 0 < stage["share"] < 1 else "")
        time = NONE if stage["seconds"] is None else clock(stage["seconds"])
        rows.append(
            (
                Cell.of(stage["label"]),
                Cell(state, {"": stage["state"], "share": stage["share"]}),
                Cell(time, {"": stage["seconds"]}),
                Cell.of(stage["source"]),
            )
        )
    left = [stage for stage in found["stages"] if stage["state"] not in ("done", "diverged")]
    unknown = sum(stage["seconds"] is None for stage in left)
    takes = f"about {clock(found['seconds'])} on {found['workers']} workers ({found['device']})"
    notes = [f"{len(left)} of {len(rows)} stages are left: {takes}"]
    notes[0] += f", and {unknown} whose time is not known" if unknown else ""
    notes += [f"{name}: declined: {why}" for name, why in found["declined"].items()]
    return Grid(f"{found['dataset']}, budget {found['budget']}", COLUMNS, tuple(rows), notes=tuple(notes))
