"""What is drawn of a run is kept while several evaluators look at it, so that it is drawn once for all of them."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from latent_ot.bench.sampling import Draws
from latent_ot.errors import Damaged
from latent_ot.files import locked
from latent_ot.identity import lineage
from latent_ot.tensors import read_tensors, write_tensors


def place(cache: Path, job: Mapping[str, Any], device: str) -> Path:
    """Return the folder, below a store's ``cache``, of what is drawn of the run that a ``job`` scores.

    ``device``: its kind, "cpu" or "cuda", by which the last bits of samples differ.
    """
    made_of = [job["inputs"], job["seed"], job["threads"], job["protocol"]["n"], lineage(Draws), device]
    return cache / f"drawn-{hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]}"


class Drawn:
    """Images or points that are drawn once: kept in a folder or, without one, with nobody to share them, not at all."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder

    def once(self, name: str, make: Callable[[], Tensor]) -> Tensor:
        """Return what ``make`` draws, or what it drew under this name before; processes that meet here wait."""
        if self.folder is None:
            return make()
        path, what = self.folder / f"{name}.safetensors", "what was drawn of a run"
        with locked(path.with_suffix(".lock")):
            if path.exists():
                try:
                    return read_tensors(path, what)[name]
                except Damaged:
                    path.unlink()
            found = make()
            write_tensors(path, {name: found})
            return found
