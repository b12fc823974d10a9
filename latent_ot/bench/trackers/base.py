"""What every dashboard is told: runs with curves, pictures and figures, through one of Lightning's own loggers.

Images seen are the place of a point on every curve; a latent sampler's are the codes that it saw.
"""

import hashlib
import importlib
import importlib.util
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from latent_ot.discovery import files, the_class
from latent_ot.errors import InputError, choose

FOLDER = "bench/trackers"
FLUSH_SECONDS = 5.0
PATIENCE = 90.0
"""Seconds without an answer, after which what a dashboard was not told waits for the next command."""

Figure = float | str | bool


@dataclass(frozen=True)
class Card:
    """A run as a dashboard shows it.

    ``id``: the same whenever the run is told of again. ``group``: the benchmark that it is of. ``job_type``: what it
    does: train, sampler or refine, a stage that is trained; evaluate, a method that is scored; report, the tables.
    ``config``: what was decided before it began; what it came to are figures.
    """

    id: str
    name: str
    group: str
    job_type: str
    tags: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """A name of its own among the files of its group."""
        return f"{plain(self.name)}-{self.id[:8]}"


@dataclass(frozen=True)
class Handed:
    """A table that a dashboard is handed: ``rows`` with the same keys, as programs read them, and ``text`` in Markdown.

    Values are numbers, strings, switches or None.
    """

    name: str
    rows: Sequence[Mapping[str, Any]]
    text: str


class Tracker:
    """One run on one dashboard, open; what was told of it before stays."""

    title: ClassVar[str]
    needs: ClassVar[str] = ""
    """The package without which there is none, which is also the name of the extra that installs it."""
    logger: Any
    keeps = True
    """Whether what it was told outlives this process, though it be killed."""
    reached: float | None = None
    """Images seen at the last point that it has from before, -1 if there is none; None if it cannot tell."""

    @classmethod
    def check(cls) -> None:
        """Raise InputError, in one line with the command that installs it, if its package is missing."""
        if cls.needs and importlib.util.find_spec(cls.needs) is None:
            raise InputError(f"{cls.needs} is not installed: pip install latent_ot[{cls.needs}]")

    @classmethod
    def notice(cls) -> str | None:
        """Return what is to be said, in one line before any work, of where its runs go; None if that is no news."""
        return None

    @classmethod
    def able(cls) -> bool:
        """Whether it is to be told anything at all."""
        return True

    def __init__(self, folder: Path, card: Card, where: Mapping[str, str | None]) -> None:
        """Open or take up a run.

        Args:
            folder: of all dashboards' files.
            card: of the run.
            where: ``project`` and ``entity``, where a dashboard has such and they were given.
        """
        raise NotImplementedError

    def log(self, images: int, values: Mapping[str, float], picture: Path | None = None) -> None:
        """Add a point to each named curve, and a grid of samples; places never fall."""
        if values:
            self.logger.log_metrics(dict(values), step=images)
        if picture is not None:
            self.picture(images, picture)

    def picture(self, images: int, path: Path) -> None:
        """Add a grid of samples (PNG)."""
        raise NotImplementedError

    def figures(self, values: Mapping[str, Figure]) -> None:
        """Set figures of the whole run, such as its status; those that were set before stay."""
        raise NotImplementedError

    def table(self, table: Handed) -> None:
        """Show a table in place of an earlier one of its name."""
        raise NotImplementedError

    def flush(self) -> None:
        """Let others see what was told by now."""
        self.logger.save()

    def close(self, failed: bool = False) -> None:
        """End the run for now; ``failed``: it did not come to its end."""
        self.logger.finalize("failed" if failed else "success")


def names() -> list[str]:
    """Return the names of the trackers that there are; nothing is imported."""
    return [*files(FOLDER)]


def tracker(name: str) -> type[Tracker]:
    """Return a tracker's class. Raises InputError for an unknown name, with the nearest."""
    module = importlib.import_module(f"latent_ot.{FOLDER.replace('/', '.')}.{choose('tracker', name, names())}")
    return the_class("trackers", name, module, Tracker)


def group(dataset: str, budget: str) -> str:
    """Return the name of the benchmark that a run on a data set at a budget is of."""
    return f"{dataset}-{budget}"


def digest(*texts: str) -> str:
    """Return 16 hex digits that stand for texts."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def plain(name: str) -> str:
    """Return a name as a part of a path."""
    return re.sub(r"[^\w.+=,-]+", "_", name)[:80]
