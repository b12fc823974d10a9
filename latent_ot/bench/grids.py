"""Grids of samples of a stage as it is or was: what a dashboard shows over its training, from the same noise each time.

Drawn by the process that tells the dashboard, never by the one that trains, whose seconds and memory are its own.
"""

from dataclasses import dataclass, field
from pathlib import Path

import torch

from latent_ot.bench import contract
from latent_ot.bench.load import load_stage
from latent_ot.bench.reconstruct import under_gaussian
from latent_ot.bench.sampling import quantise
from latent_ot.bench.store import config_of
from latent_ot.bench.train import as_tensor
from latent_ot.catalog import Catalog
from latent_ot.datasets.base import Dataset, load
from latent_ot.files import locked
from latent_ot.methods.base import Method, Pair
from latent_ot.pictures.images import save_grid, save_points
from latent_ot.samplers.base import LatentSampler
from latent_ot.seeding import generator

TILES = {"image": 64, "points": 1000}
CODES = 2000
"""Training images whose codes stand for all of them where a representation is drawn from: a look, not a score."""


@dataclass
class Grids:
    """Draws stages trained on one data set, into a folder in which each grid is drawn once.

    ``source``, ``data_dir``, ``subset``: of the data, which are read when the first grid is drawn.
    """

    folder: Path
    source: str
    data_dir: Path
    subset: int | None
    plugins: tuple[Path, ...]
    _read: list[tuple[Catalog, Dataset]] = field(default_factory=list)

    @torch.no_grad()
    def draw(self, stage: Path, images: int, weights: Path) -> Path:
        """Return the grid (PNG) of the stage in a folder, of its ``weights`` after so many images.

        Raises:
            InputError: if the stage is of other data, or cannot draw as it is.
            Declined: if it never draws.
        """
        path = self.folder / stage.name / f"{images:012d}.png"
        with locked(path.with_suffix(".lock")):
            if not path.exists():
                self._save(path, stage, weights)
        return path

    def _save(self, path: Path, stage: Path, weights: Path) -> None:
        catalog, dataset = self._known()
        job = config_of(stage)["job"]
        if job["dataset"]["content"] != dataset.content_id:
            raise LookupError(f"{stage.name} is of other data than {dataset.id}")
        model = _model(catalog, stage, weights, dataset)
        drawn = quantise(contract.sample(model, TILES[dataset.kind], generator(job["seed"], "sample", 0)))
        if dataset.kind == "points":
            save_points(path, dataset.test[: len(drawn)], drawn.numpy())
        else:
            save_grid(path, drawn.permute(0, 2, 3, 1).numpy())

    def _known(self) -> tuple[Catalog, Dataset]:
        if not self._read:
            self._read.append((Catalog(self.plugins), load(self.source, self.data_dir, self.subset)))
        return self._read[0]


def _model(catalog: Catalog, folder: Path, weights: Path, dataset: Dataset) -> Method | Pair:
    """Return what draws: the stage itself, a representation under a Gaussian, or a sampler on its representation."""
    stage = load_stage(catalog, folder, weights)
    if isinstance(stage, LatentSampler):
        key = config_of(folder)["job"]["inputs"]["train"]
        below = load_stage(catalog, next(folder.parent.glob(f"*-{key}")))
        assert isinstance(below, Method)
        return Pair(below, stage)
    assert isinstance(stage, Method)
    if stage.role != "representation":
        return stage
    return under_gaussian(stage, stage.codes(as_tensor(dataset.train[:CODES])))  # a table of codes has all of them
