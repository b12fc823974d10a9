"""CSV: ``metrics.csv`` with all points of a run, its settings, figures and pictures beside it; needs no package."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from latent_ot.bench.trackers.base import Card, Figure, Handed, Tracker, plain
from latent_ot.files import read_json, write_atomic, write_json


class Csv(Tracker):
    """A folder under that of its group; Lightning's logger begins its file anew, so that what was in it is put back."""

    title = "CSV"

    def __init__(self, folder: Path, card: Card, where: Mapping[str, str | None]) -> None:
        from lightning.pytorch.loggers import CSVLogger

        root = folder / "csv"
        self.folder = root / card.group / card.folder
        before = _rows(self.folder / "metrics.csv")
        self.reached = max((float(row["step"]) for row in before), default=-1.0)
        self.logger = CSVLogger(root, card.group, card.folder)
        if card.config:
            self.logger.log_hyperparams(dict(card.config))
        for row in before:
            self.logger.experiment.log_metrics(row, int(row.pop("step")))
        self.logger.save()

    def picture(self, images: int, path: Path) -> None:
        """Put a grid of samples beside the file."""
        write_atomic(self.folder / "samples" / f"{images:012d}.png", path.read_bytes())

    def figures(self, values: Mapping[str, Figure]) -> None:
        """Set figures in ``summary.json``."""
        path, known = self.folder / "summary.json", {}
        if path.exists():
            known = read_json(path, "figures of a run", "delete it")
        write_json(path, {**known, **values})

    def table(self, table: Handed) -> None:
        """Write a table into a file of its name."""
        text = io.StringIO()
        writer = csv.DictWriter(text, [*table.rows[0]])
        writer.writeheader()
        writer.writerows(table.rows)
        write_atomic(self.folder / f"{plain(table.name.replace('/', '-'))}.csv", text.getvalue().encode())


def _rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of an earlier part, without what they lack."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [{key: value for key, value in row.items() if value} for row in csv.DictReader(file)]
