"""The papers' tables as data, from ``benchmarks/tables``, and which of our data sets may stand beside which column."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator

from latent_ot.bench.budgets import benchmarks
from latent_ot.catalog import Catalog
from latent_ot.config import Config
from latent_ot.errors import choose
from latent_ot.report.quantities import QUANTITIES


def _value(given: Any) -> Any:
    """Read ``23.2``, or ``[23.2, 0.2]`` where the paper prints a spread."""
    if isinstance(given, list):
        return {"value": given[0], "std": given[1]}
    return given if isinstance(given, Mapping) else {"value": given}


class Published(Config):
    """A printed number, with the spread that the paper prints beside it, if any (GLDO's does not say over what)."""

    value: float
    std: float | None = None


class PublishedColumn(Config):
    """``dataset`` is the paper's data set under the suite's name, ``digits`` the decimals that the paper prints."""

    key: str
    label: str
    dataset: str
    metric: str
    direction: Literal["up", "down"]
    digits: int

    @property
    def head(self) -> str:
        """Column heading; the arrow points where better is."""
        return f"{self.label} {QUANTITIES[self.metric].head}"


class PublishedRow(Config):
    """``method`` is what the suite runs for this row; ``note`` says what the paper leaves open."""

    label: str
    method: str
    values: dict[str, Annotated[Published, BeforeValidator(_value)]]
    note: str | None = None


class PublishedTable(Config):
    """One table of one paper. ``notes`` are its contradictions; ``protocol`` says how the paper measured."""

    id: str
    paper: str
    title: str
    place: str
    caption: str
    protocol: str
    columns: tuple[PublishedColumn, ...]
    rows: tuple[PublishedRow, ...]
    notes: tuple[str, ...] = ()


def table_names() -> list[str]:
    """Return the ids of all tables, in natural order."""
    return sorted(path.stem for path in (benchmarks() / "tables").glob("*.yaml"))


@cache
def load_table(table: str) -> PublishedTable:
    """Return the table called ``table``.

    Raises:
        InputError: for an unknown id, with the nearest.
    """
    choose("table", table, table_names())
    path = benchmarks() / "tables" / f"{table}.yaml"
    return PublishedTable.build(yaml.safe_load(path.read_text(encoding="utf-8")), where=path.name)


@cache
def stand_ins() -> dict[str, list[str]]:
    """Return published data set -> the ids that may stand beside it, itself first (``benchmarks/stands_for.yaml``)."""
    listed = yaml.safe_load((benchmarks() / "stands_for.yaml").read_text(encoding="utf-8"))
    return {published: [published, *others] for published, others in listed.items()}


def stands_for(dataset: str) -> str | None:
    """Return the published data set that ours stands for, or None.

    Numbered subsets (``mnist_10k``, ``cifar10_25k``) stand for what the whole stands for.
    """
    whole = re.sub(r"_\d+k?$", "", dataset)
    return next((published for published, ours in stand_ins().items() if {dataset, whole} & set(ours)), None)


@cache
def suite_methods() -> frozenset[str]:
    """Return the methods that the suite can run by name."""
    return frozenset(Catalog().method_names())
