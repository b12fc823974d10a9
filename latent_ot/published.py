"""The papers' tables as data, from ``benchmarks/tables``, and which of our data sets may stand beside which column."""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, JsonValue

from latent_ot.budgets import benchmarks
from latent_ot.config import Config
from latent_ot.errors import choose
from latent_ot.files import read_yaml
from latent_ot.quantities import QUANTITIES

Settings = dict[str, dict[str, JsonValue]]
"""Part of a method -> its settings, as ``--set`` gives them and as records carry them."""


def _value(given: Any) -> Any:
    """Read ``23.2``, or ``[23.2, 0.2]`` where the paper prints a spread."""
    if isinstance(given, list):
        return {"value": given[0], "std": given[1]}
    return given if isinstance(given, Mapping) else {"value": given}


class Published(Config):
    """A printed number, with the spread that the paper prints beside it, if any (GLDO's does not say over what)."""

    value: float
    std: float | None = None


Printed = Annotated[Published, BeforeValidator(_value)]


class PublishedColumn(Config):
    """``dataset`` is the paper's data set under the suite's name, ``digits`` the decimals that the paper prints.

    ``curve`` makes it a figure: the series of a record that its curves follow, such as ``loss.discriminator``.
    ``settings`` are what the column asks of a method (its architecture, say): method -> settings.
    """

    key: str
    label: str
    dataset: str
    metric: str
    direction: Literal["up", "down", "none"]
    digits: int = 0
    curve: str | None = None
    settings: dict[str, Settings] = {}

    @property
    def head(self) -> str:
        """Column heading; the arrow points where better is."""
        return f"{self.label} {QUANTITIES[self.metric].head}"

    def text(self, number: Published) -> str:
        """Return a number as the paper prints it."""
        spread = "" if number.std is None else f" ± {number.std:.{self.digits}f}"
        return f"{number.value:.{self.digits}f}{spread}"


class PublishedRow(Config):
    """``method`` is what the suite runs for this row, with ``settings``; none where the paper quotes another one.

    ``methods``: published data set -> the method there, where the paper runs the row otherwise on it.
    ``text_values``: numbers of the paper's text that differ from its table. ``note``: what the paper leaves open.
    """

    label: str
    method: str | None
    methods: dict[str, str] = {}
    settings: Settings = {}
    values: dict[str, Printed] = {}
    text_values: dict[str, Printed] = {}
    note: str | None = None


class Constant(Config):
    """A constant that the paper states, for one data set or for all; ``setting`` is the suite's name of it."""

    name: str
    label: str
    value: float
    dataset: str | None = None
    setting: str | None = None


class PublishedTable(Config):
    """One table, figure or run of numbers in the text of one paper.

    ``notes`` are its contradictions and, for a figure, the orders that the paper states; ``protocol`` says how the
    paper measured; ``values`` are constants of training.
    """

    id: str
    paper: str
    title: str
    place: str
    caption: str
    protocol: str
    columns: tuple[PublishedColumn, ...] = ()
    rows: tuple[PublishedRow, ...] = ()
    values: tuple[Constant, ...] = ()
    notes: tuple[str, ...] = ()

    def has_number(self, column: PublishedColumn) -> bool:
        """Whether the paper prints a number in a column."""
        return any(column.key in row.values for row in self.rows)

    def columns_for(self, dataset: str) -> tuple[PublishedColumn, ...]:
        """Return the columns that our ``dataset`` stands for.

        Where it stands for none, columns without a printed number are drawn of it all the same, one of each kind: there
        is nothing in them that our numbers could be mistaken for.
        """
        own = tuple(c for c in self.columns if c.dataset == stands_for(dataset))
        free = {(c.metric, c.curve): c for c in reversed(self.columns) if not self.has_number(c)}
        return own or tuple(c for c in self.columns if c in free.values())

    def asked(self, row: PublishedRow, column: PublishedColumn) -> tuple[str | None, Settings]:
        """Return the method that a row is in a column, and its settings there: the row's, then the column's."""
        method = row.methods.get(column.dataset, row.method)
        return method, merged(row.settings, column.settings.get(method or "", {}))


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
    return PublishedTable.build(read_yaml(path), where=path.name)


class PublishedSet(Config):
    """A published data set: how many examples it trains on here, and ``ours`` that may stand beside it."""

    train: int
    kind: Literal["image", "points"] = "image"
    ours: tuple[str, ...] = ()


@cache
def published_sets() -> dict[str, PublishedSet]:
    """Return ``benchmarks/stands_for.yaml``: published data set -> what is known of it."""
    listed = read_yaml(benchmarks() / "stands_for.yaml")
    return {name: PublishedSet.build(values, where=f"stands_for.yaml, {name}") for name, values in listed.items()}


@cache
def stand_ins() -> dict[str, list[str]]:
    """Return published data set -> the ids that may stand beside it, itself first."""
    return {name: [name, *known.ours] for name, known in published_sets().items()}


def stands_for(dataset: str) -> str | None:
    """Return the published data set that ours stands for, or None.

    Numbered subsets (``mnist_10k``, ``cifar10_25k_500``) stand for what the whole stands for.
    """
    whole = re.sub(r"(_\d+k?)+$", "", dataset)
    return next((published for published, ours in stand_ins().items() if {dataset, whole} & set(ours)), None)


def merged(settings: Mapping[str, Mapping[str, Any]], others: Mapping[str, Mapping[str, Any]]) -> Settings:
    """Return settings with ``others`` added, which win."""
    return {part: {**settings.get(part, {}), **others.get(part, {})} for part in {**settings, **others}}


def in_words(settings: Mapping[str, Mapping[str, JsonValue]], between: str = ", ") -> str:
    """Return settings as ``--set`` takes them, e.g. ``ae.network=fc, ae.latent_dim=8``."""
    flat = ((f"{part}.{key}", value) for part, given in settings.items() for key, value in given.items())
    return between.join(f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in flat)
