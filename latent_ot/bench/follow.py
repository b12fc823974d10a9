"""What a model was along its training: figures of its snapshots and of its end, in one walk over them."""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latent_ot.bench.load import decoding, load_stage
from latent_ot.bench.reconstruct import under_gaussian
from latent_ot.bench.sampling import CHUNK, Draws, contest, draw
from latent_ot.bench.scorer import Scorer
from latent_ot.bench.store import result_of
from latent_ot.bench.train import as_tensor
from latent_ot.catalog import Catalog
from latent_ot.errors import Damaged
from latent_ot.files import locked, read_json, reading, write_json
from latent_ot.identity import lineage
from latent_ot.methods.base import Method, Pair
from latent_ot.metrics.base import keys_of
from latent_ot.metrics.fid import Fid
from latent_ot.metrics.modes import POINTS, mode_coverage
from latent_ot.metrics.score import score
from latent_ot.samplers.base import LatentSampler
from latent_ot.samplers.gaussian import Gaussian
from latent_ot.stage import Spec

JUDGED = 1000  # held-out examples, and as many samples, that an adversary is shown
ASKED = 1 / 12  # of the budget, before which one is not asked: one that has not learned tells them apart by chance

Series = list[tuple[int, float]]
"""(images seen, value), at the snapshots and at the end."""


@dataclass(frozen=True)
class Subject:
    """A finished model, the folders of its stages by role, the run's seed, and what scores it."""

    model: Method | Pair
    folders: Mapping[str, Path]
    seed: int
    scorer: Scorer
    catalog: Catalog
    device: torch.device

    @property
    def made_by(self) -> Path:
        """The folder of the stage whose networks make the images."""
        return decoding(self.folders)

    def snapshots(self) -> Iterator[tuple[int, Method]]:
        """Yield what that stage was at shares of its budget, with the images seen by then."""
        for weights in sorted((self.made_by / "snapshots").glob("*.safetensors")):
            yield int(weights.stem), self._stage(weights)

    def ended(self) -> tuple[int, Method]:
        """Return what it is now, with the images that it has seen."""
        return self.images, self._stage(None)

    @property
    def images(self) -> int:
        """How many images it has seen."""
        ended = result_of(self.made_by)
        assert ended is not None
        return int(ended["images_seen"])

    def _stage(self, weights: Path | None) -> Method:
        stage = load_stage(self.catalog, self.made_by, weights).to(self.device)
        assert isinstance(stage, Method)
        return stage


def follow(of: Subject, samples: Tensor, end: Mapping[str, float], reasons: dict[str, str]) -> dict[str, Series]:
    """Return the curves of a finished model; to ``reasons`` goes why it lacks some.

    ``fid`` of images, ``modes`` and ``high_quality`` of a mixture's points; ``fid_gaussian`` of a representation of
    images; the figures of an adversary. Points that a representation with a latent sampler makes are not followed.

    Args:
        of: the model.
        samples: those of its that are scored.
        end: their figures.
        reasons: key -> reason.
    """
    if of.scorer.dataset.kind == "image" and "fid" not in end:
        reasons["curves.fid"] = reasons["fid"]
    if isinstance(of.model, Method):
        return _end_to_end(of, of.model, samples, end, reasons)
    reasons |= dict.fromkeys(keys_of("scores"), "no adversary takes part in the training")
    return _pair(of, of.model, end, reasons) if of.scorer.dataset.kind == "image" and "fid" in end else {}


def _end_to_end(
    of: Subject, model: Method, samples: Tensor, end: Mapping[str, float], reasons: dict[str, str]
) -> dict[str, Series]:
    curves: dict[str, Series] = {}

    def add(seen: int, found: Mapping[str, float]) -> None:
        for name, value in found.items():
            curves.setdefault(name, []).append((seen, value))

    n = of.scorer.n if of.scorer.dataset.kind == "image" else POINTS
    for seen, snapshot in of.snapshots():
        drawn = of.scorer.drawn.once(f"snapshot-{seen}", partial(draw, snapshot, n, of.seed))
        add(seen, _quality(of.scorer, drawn))
        if seen >= ASKED * of.images:
            add(seen, _contest(of.scorer, snapshot, drawn))
    followed = curves or of.scorer.dataset.modes is not None  # of images a single value is no curve
    quality = {name: end[name] for name in ("fid", "modes", "high_quality") if name in end and followed}
    add(of.images, quality | _contest(of.scorer, model, samples))
    if model.adversary is None:
        reasons |= dict.fromkeys(keys_of("scores"), "no adversary takes part in the training")
    elif len(of.scorer.held_out) < 2:
        reasons |= dict.fromkeys(keys_of("scores"), "a single held-out example; 2 or more are needed")
    return curves


def _quality(scorer: Scorer, drawn: Tensor) -> dict[str, float]:
    if scorer.dataset.kind == "image":
        return {"fid": scorer.fid(drawn)} if scorer.n > 1 else {}
    if scorer.dataset.modes is None:
        return {}
    assert scorer.dataset.mode_std is not None
    return mode_coverage(drawn.numpy(), scorer.dataset.modes, scorer.dataset.mode_std)


def _contest(scorer: Scorer, model: Method, drawn: Tensor) -> dict[str, float]:
    """Return how well the adversary, if there is one, tells held-out examples from samples.

    They are shown in chunks whose own statistics its batch normalisation takes: a last one that is alone is left out.
    """
    real = scorer.held_out[:JUDGED]
    real = real[: len(real) - (len(real) % CHUNK == 1)]
    if model.adversary is None or not len(real):
        return {}
    return score("scores", *contest(model, real, drawn[: len(real)]))[0]


def _pair(of: Subject, model: Pair, end: Mapping[str, float], reasons: dict[str, str]) -> dict[str, Series]:
    """Follow a representation under a Gaussian and, where that tells of the run, under the usual latent sampler."""
    gaussian, latent, earlier = _under_gaussian(of), model.latent, []
    if isinstance(latent, Gaussian):
        earlier = gaussian[:-1]
    elif not latent.closed_form:
        reasons["curves.fid"] = "the latent sampler is trained once, on the final codes"
    elif type(latent).__module__.rpartition(".")[2] != model.representation.default_sampler:
        reasons["curves.fid"] = "followed under a Gaussian and the representation's default latent sampler only"
    else:
        earlier = [*_under(of, latent)]
    return {"fid_gaussian": gaussian, "fid": [*earlier, (of.images, end["fid"])] if earlier else []}


@torch.no_grad()
def _under(of: Subject, latent: LatentSampler) -> Iterator[tuple[int, float]]:
    """Yield (images seen, FID) at the snapshots of a representation under a latent sampler fitted to its codes then."""
    images = as_tensor(of.scorer.dataset.train)
    for seen, snapshot in of.snapshots():
        codes = snapshot.codes(images)
        sampler = type(latent)(latent.config, Spec((codes.shape[1],), len(codes), 0, 1.0, of.seed))
        sampler.std = snapshot.code_std(images) if latent.draws else None
        sampler.to(of.device).fit(codes.to(of.device))
        pair = partial(draw, Pair(snapshot, sampler), of.scorer.n, of.seed)
        yield seen, of.scorer.fid(of.scorer.drawn.once(f"snapshot-{seen}", pair))


def _under_gaussian(of: Subject) -> Series:
    """Return [images seen, FID] of a representation at its snapshots and its end, under a Gaussian on its codes.

    Computed once, whatever latent sampler the representation meets, and kept in its folder. Nothing without snapshots,
    that is, of one that was fitted in closed form.
    """
    folder, rules = of.made_by, of.scorer.rules
    if not (folder / "snapshots").exists():
        return []
    made: tuple[Any, ...] = rules["id"], rules["checksum"]
    made += tuple(map(lineage, (Gaussian, Fid, Draws, type(of.scorer.evaluator))))
    path = folder / f"fid-{hashlib.sha256(json.dumps(made).encode()).hexdigest()[:16]}.json"
    with locked(path.with_suffix(".lock")):
        try:
            return _kept(path)
        except Damaged as why:
            if path.exists():
                print(f"{why.problem}: made again", file=sys.stderr)
            write_json(path, [*_gaussian_on(of)])
            return _kept(path)


def _kept(path: Path) -> Series:
    what, then = "[images seen, FID] along a training", "delete it: it is made again"
    found = read_json(path, what, then, list)
    with reading(path, what, then):
        return [(int(seen), float(value)) for seen, value in found]


@torch.no_grad()
def _gaussian_on(of: Subject) -> Iterator[tuple[int, float]]:
    images = as_tensor(of.scorer.dataset.train)
    for seen, method in (*of.snapshots(), of.ended()):
        pair = partial(draw, under_gaussian(method, method.codes(images)), of.scorer.n, of.seed)
        yield seen, of.scorer.fid(of.scorer.drawn.once(f"gaussian-{seen}", pair))
