"""What a claim comes down to: rows of results, a figure read from their records, and where its effect should lie."""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

from latent_ot.errors import InputError
from latent_ot.quantities import QUANTITIES, Quantity
from latent_ot.record import Record
from latent_ot.report.curves import at_share
from latent_ot.report.statistics import Interval

Verdict = Literal["reproduced", "not reproduced", "inconclusive", "not run"]
Direction = Literal["up", "down"]


@dataclass(frozen=True)
class Row:
    """A method with the settings (part -> key -> value) that its runs must have beside defaults.

    ``dataset``: the published data set, where it is not the one that the claim is judged on.
    """

    method: str
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    dataset: str | None = None

    @classmethod
    def parse(cls, label: str) -> "Row":
        """Read a row as records name it, ``method[key=value,part.key=value]``.

        Raises:
            InputError: for anything of another form.
        """
        found = re.fullmatch(r"([\w+]+)(?:\[(.+)\])?", label)
        pairs = [setting.partition("=") for setting in found[2].split(",")] if found and found[2] else []
        if not found or not all(equals for _, equals, _ in pairs):
            raise InputError(f"row '{label}' is not of the form method[key=value,part.key=value]")
        settings: dict[str, dict[str, Any]] = {}
        for name, _, value in pairs:
            part, _, key = name.strip().rpartition(".")
            settings.setdefault(part or found[1], {})[key] = yaml.safe_load(value)
        return cls(found[1], settings)

    def __str__(self) -> str:
        changes = [
            f"{key if part == self.method else f'{part}.{key}'}={value}"
            for part, values in self.settings.items()
            for key, value in values.items()
        ]
        return f"{self.method}[{','.join(changes)}]" if changes else self.method

    @property
    def flags(self) -> str:
        """The settings as options of ``latent-ot bench``, each with a space before it."""
        flat = ((f"{part}.{key}", value) for part, values in self.settings.items() for key, value in values.items())
        said = ((name, value if isinstance(value, str) else json.dumps(value)) for name, value in flat)
        return "".join(f" --set {name}={value}" for name, value in said)

    def matches(self, record: Record) -> bool:
        """Whether a record is of this row: its settings are in the record's configuration, and no other is changed."""
        if record.method.partition("[")[0] != self.method:
            return False
        asked = ((record.config.get(part), values) for part, values in self.settings.items())
        held = all(isinstance(have, dict) and values.items() <= have.items() for have, values in asked)
        changed = ((part, values) for part, values in record.overrides.items() if isinstance(values, dict))
        return held and all(values.keys() <= self.settings.get(part, {}).keys() for part, values in changed)

    def having(self, settings: Mapping[str, Mapping[str, Any]]) -> "Row":
        """Return the row with further settings."""
        parts = dict.fromkeys([*settings, *self.settings])
        merged = {part: {**settings.get(part, {}), **self.settings.get(part, {})} for part in parts}
        return Row(self.method, merged, self.dataset)


@dataclass(frozen=True)
class Region:
    """Where an effect lies if the claim is true; ``strict``: its ends do not belong to it."""

    low: float = -math.inf
    high: float = math.inf
    strict: bool = False

    def holds(self, value: float) -> bool:
        """Whether a single value lies there."""
        return self.low <= value <= self.high and not (self.strict and value in (self.low, self.high))

    def verdict(self, effect: Interval) -> Verdict:
        """Return what an effect's interval over seeds says; one value has none, and is inconclusive."""
        if effect.half is None:
            return "inconclusive"
        if effect.low > self.high or effect.high < self.low:
            return "not reproduced"
        return "reproduced" if self.holds(effect.low) and self.holds(effect.high) else "inconclusive"


@dataclass(frozen=True)
class Contrast:
    """What one verdict is about.

    ``figure``: what is read from a record of each row, None where it has none. ``combine``: those of one seed -> the
    effect, None where they do not tell. ``quantity``: how the effect is printed, if it has the units of one.
    """

    rows: tuple[Row, ...]
    figure: Callable[[Record], Any]
    combine: Callable[..., float | None]
    region: Region
    label: str
    quantity: Quantity | None = None


@dataclass(frozen=True)
class Figure:
    """What a claim is about: a metric or fact of records, or with ``loss.`` before its name the end of a curve."""

    key: str
    direction: Direction

    @property
    def quantity(self) -> Quantity | None:
        """How tables print it, if they do."""
        return QUANTITIES.get(self.key.removeprefix("loss."))

    @property
    def name(self) -> str:
        """What it is called in a sentence."""
        name = self.quantity.label if self.quantity else self.key.removeprefix("loss.")
        return f"{name} at the end of training" if self.key.startswith("loss.") else name

    def read(self, record: Record) -> float | None:
        """Return a record's value."""
        return read(record, self.key)

    @property
    def better(self) -> Region:
        """Where a difference lies whose first side is better."""
        return Region(low=0, strict=True) if self.direction == "up" else Region(high=0, strict=True)


def read(record: Record, key: str) -> float | None:
    """Return a metric, else a cost, else a fact of a record; ``loss.NAME`` is where that curve of training ends."""
    if key.startswith("loss."):
        return at_share([record], key, 1.0).get(record.seed)
    value = record.value(key)
    fact = record.facts.get(key) if value is None else value
    return float(fact) if isinstance(fact, int | float) and not isinstance(fact, bool) else None
