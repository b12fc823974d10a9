"""TensorBoard: event files in a folder, a part each time that a run goes on, which it shows as one."""

from collections.abc import Mapping
from pathlib import Path

from latent_ot.bench.trackers.base import Card, Figure, Handed, Tracker


class TensorBoard(Tracker):
    """A folder of event files under that of its group; figures stand at the last place, words among the texts."""

    title, needs = "TensorBoard", "tensorboard"

    def __init__(self, folder: Path, card: Card, where: Mapping[str, str | None]) -> None:
        from lightning.pytorch.loggers import TensorBoardLogger

        self.logger = TensorBoardLogger(folder / "tensorboard", card.group, card.folder, default_hp_metric=False)
        self.logger.log_hyperparams(dict(card.config))
        self.images = 0

    def log(self, images: int, values: Mapping[str, float], picture: Path | None = None) -> None:
        """Add a point."""
        self.images = images
        super().log(images, values, picture)

    def picture(self, images: int, path: Path) -> None:
        """Add a grid of samples."""
        import numpy as np
        from PIL import Image

        with Image.open(path) as image:
            self.logger.experiment.add_image("samples", np.asarray(image.convert("RGB")), images, dataformats="HWC")

    def figures(self, values: Mapping[str, Figure]) -> None:
        """Set figures: numbers as scalars, words as texts."""
        self.images = int(values.get("images_seen", self.images))
        for name, value in values.items():
            if isinstance(value, str | bool):
                self.logger.experiment.add_text(name, str(value), self.images)
            else:
                self.logger.log_metrics({f"final/{name}": value}, step=self.images)

    def table(self, table: Handed) -> None:
        """Show a table among the texts."""
        self.logger.experiment.add_text(table.name, table.text)
