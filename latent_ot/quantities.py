"""What tables show: each figure's name, which direction is better, how it is printed and where it stands.

Metrics bring their own quantities, as literals in their files; what a run itself has, such as its cost, is stated here.
A record carries the quantities of metrics that are a user's own, so that it can be shown without their file.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from latent_ot.discovery import literals
from latent_ot.errors import InputError

NONE = "–"
Direction = Literal["up", "down", "none"]
Group = Literal["main", "more", "copies", "cost", "curve"]

MEASURED_OF = {
    **dict.fromkeys(("samples", "pairs", "pictures", "walks", "reconstructions", "copies"), "image"),
    **dict.fromkeys(("points", "point_walks", "qualities"), "points"),
    "clip": "clip",
}
"""What a metric measures -> the kind of data sets, or the evaluator, that has such things; see ``Metric.measures``."""


@dataclass(frozen=True)
class Quantity:
    """``direction``: which is better. ``digits``: decimals printed, or where ``style`` is "g" significant digits.

    ``scale``: factor on the recorded value before printing, stated in the label. ``group``: "main" is a column of
    ranked tables, "more" one of the further figures, "copies" one of those of memorising, "cost" what a run took,
    "curve" followed over training alone.
    ``floor``: what real data have in its place, which finite samples do not let them exceed: ``data.KEY`` of the data
    row, or the KEY of a figure of the run itself. What lies past it is no better (``report.statistics``). None: best is
    a bound that no sample size moves, such as 0 repeats, or a reconstruction equal to its image. ``of``: the kind of
    data sets whose runs have it, "image" or "points", or the one evaluator that gives it; empty for all.
    """

    key: str
    label: str
    direction: Direction
    digits: int
    scale: float = 1.0
    style: Literal["f", "g"] = "f"
    group: Group = "more"
    floor: str | None = None
    of: str = ""

    @property
    def head(self) -> str:
        """Column heading; the arrow points where better is."""
        return self.label + {"up": " ↑", "down": " ↓", "none": ""}[self.direction]

    def text(self, value: float) -> str:
        """Return one value as tables print it."""
        return f"{value * self.scale:,.{self.digits}{self.style}}"

    def within(self, value: float, half: float) -> str:
        """Return ``value ± half`` with no more decimals than show two digits of the interval's half-width."""
        width = abs(half * self.scale)
        decimals = max(0, 1 - math.floor(math.log10(width))) if width else self.digits
        decimals = decimals if self.style == "g" else min(decimals, self.digits)
        return " ± ".join(f"{number * self.scale:,.{decimals}f}" for number in (value, half))

    def card(self) -> dict[str, Any]:
        """Return what a record says of it."""
        return {name: value for name, value in asdict(self).items() if name not in ("key", "of")}


def _of_metrics() -> Iterable[Quantity]:
    """Return the quantities of the suite's metrics, file by file."""
    measures = dict(literals("metrics", "measures"))
    for name, stated in literals("metrics", "quantities"):
        yield from (Quantity(key, **card, of=MEASURED_OF.get(measures[name], "")) for key, card in stated.items())


OF_RUNS = (
    Quantity("discriminator", "discriminator loss (nats)", "none", 3, style="g", group="curve"),
    Quantity("kl", "KL stored (nats)", "none", 2, group="curve"),
    Quantity("gap", "duality gap", "down", 3, style="g", group="curve"),
    Quantity("seconds", "seconds", "none", 1, group="cost"),
    Quantity("images_seen", "images seen", "none", 0, group="cost"),
    Quantity("generator_updates", "generator updates", "none", 0, group="cost"),
    Quantity("fid_gaussian", "FID under a Gaussian on codes", "down", 3, group="curve", floor="data.fid"),
    Quantity("parameters", "parameters", "none", 0),
    Quantity("peak_memory_mb", "peak MiB", "none", 0),
)
QUANTITIES = {quantity.key: quantity for quantity in (*_of_metrics(), *OF_RUNS)}
"""Every quantity that this process knows, the suite's and those that ``learn`` added."""
_OWN = frozenset(QUANTITIES)


def learn(stated: Mapping[str, Mapping[str, Any]], where: str) -> None:
    """Add quantities of a user's own metrics.

    Raises:
        InputError: naming ``where``, if one is not complete or has the key of one of the suite's.
    """
    for key, card in stated.items():
        if key in _OWN:
            raise InputError(f"{where}: quantity '{key}' is one of the suite's; allowed: a name of its own")
        try:
            QUANTITIES[key] = Quantity(key, **card)
        except TypeError as error:
            raise InputError(f"{where}: quantity '{key}': {str(error).partition(') ')[2] or error}") from None


def foreign(keys: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the cards of those of ``keys`` that are of a user's own metrics, for a record."""
    return {key: QUANTITIES[key].card() for key in keys if key in QUANTITIES and key not in _OWN}
