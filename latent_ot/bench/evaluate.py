"""Score one finished model under its protocol: one feature pass over its samples, the real side cached."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from latent_ot.bench.follow import Subject, follow
from latent_ot.bench.load import load_model
from latent_ot.bench.reconstruct import CODES
from latent_ot.bench.sampling import CHUNK, draw, draw_between, draw_codes, quantise, walk
from latent_ot.bench.scorer import Scorer
from latent_ot.bench.train import as_tensor
from latent_ot.catalog import Catalog
from latent_ot.datasets.base import Dataset
from latent_ot.errors import Declined
from latent_ot.methods.base import Method, Pair
from latent_ot.metrics.base import keys_of
from latent_ot.metrics.latent import LEAST
from latent_ot.metrics.modes import POINTS, Modes
from latent_ot.metrics.quality import reconstruction_errors
from latent_ot.metrics.score import score
from latent_ot.pictures.images import save_grid, save_points
from latent_ot.pictures.latent import save_latent
from latent_ot.pictures.pairs import save_pairs
from latent_ot.pictures.plane import save_plane
from latent_ot.samplers.sdot import Sdot
from latent_ot.seeding import generator
from latent_ot.stage import as_float
from latent_ot.transport.extension import Mixture

GRID = 64
WALKS = (8, 10)  # rows and columns of the picture of interpolations
PATHS = (64, 16)  # walks and their images, behind the smoothness of interpolation
BETWEEN = "interp_fid"  # FID of images between codes
CODE_DRAWS = 1000  # behind the figures of a latent sampler's codes
MOMENT_DRAWS = 10_000  # codes of either kind behind the errors of their moments: of 8 x 8 entries the worst is at 0.03
POINT_PATHS = (500, 21)  # walks between codes of points and their steps, l = 0, 0.05, ..., 1: iWGAN, Appendix E


def evaluate(
    job: Mapping[str, Any],
    folders: dict[str, Path],
    scorer: Scorer,
    catalog: Catalog,
    folder: Path,
    device: torch.device,
    report: Any,
) -> dict[str, Any]:
    """Score the model made of ``folders`` (none: the data row) and draw its pictures into ``folder``."""
    seed, dataset = job["seed"], scorer.dataset
    model = load_model(catalog, folders, device) if folders else None
    samples = _samples(model, scorer, seed, report)
    metrics, curves = scorer.score(samples, seed)
    reasons: dict[str, str] = {}
    facts: dict[str, Any] = {}
    if dataset.kind == "points":
        save_points(folder / "points.png", scorer.real.numpy(), samples.numpy())
        if dataset.modes is None:
            unknown = [*Modes.quantities, *keys_of("point_walks", "qualities")]
            reasons |= dict.fromkeys(unknown, f"{dataset.id} is no mixture of modes")
    else:
        save_grid(folder / "samples.png", _hwc(samples[:GRID]))
        spread, real_spread = _spread(samples), _spread(scorer.real)
        facts["sample_std"] = round(spread, 4)
        facts["collapsed"] = spread < 0.1 * real_spread
    if model is None:
        none = [*keys_of("reconstructions", "walks", "point_walks", "qualities", "codes", "prior", "scores"), BETWEEN]
        reasons |= dict.fromkeys(none, "the data row is no model")
        return {"metrics": metrics, "curves": curves, "reasons": reasons, "facts": facts}
    of = Subject(model, folders, seed, scorer, catalog, device)
    if dataset.kind == "image":
        rebuilt = json.loads((folders["reconstruct"] / "result.json").read_text())
        metrics |= rebuilt["metrics"]
        reasons |= rebuilt["reasons"]
        metrics |= _between(of, folder, reasons)
        facts |= _mixing(of)
    elif dataset.modes is not None:
        metrics |= _on_modes(model, dataset, seed, reasons)
    if isinstance(model, Pair):
        metrics |= _codes(of, model, folder, reasons)
        reasons |= dict.fromkeys(keys_of("prior"), "its latent sampler was fitted to the codes")
    else:
        try:
            metrics |= _prior(model, scorer, folder, seed)
        except Declined as reason:  # not every method has codes and an encoder
            reasons |= dict.fromkeys(keys_of("prior"), str(reason))
        reasons |= dict.fromkeys(keys_of("codes"), "trained end to end: no latent sampler was fitted to its codes")
    followed = follow(of, samples, metrics, reasons)
    metrics |= {name: followed[name][-1][1] for name in keys_of("scores") if name in followed}
    return {"metrics": metrics, "curves": curves | followed, "reasons": reasons, "facts": facts}


def _samples(model: Method | Pair | None, scorer: Scorer, seed: int, report: Any) -> Tensor:
    """Return what is scored: the model's samples, or held-out examples in their place."""
    total = scorer.n * scorer.repeats
    if model is not None:
        return draw(model, total, seed, lambda done: report(done=done, total=2 * total))
    if scorer.dataset.kind == "points":
        return torch.from_numpy(scorer.points("held out", scorer.dataset.test)).flatten(0, 1)
    return scorer.held_out


def _between(of: Subject, folder: Path, reasons: dict[str, str]) -> dict[str, float]:
    """Score the images between codes, and draw some walks."""
    try:
        save_grid(folder / "interpolations.png", _hwc(walk(of.model, *WALKS, of.seed).flatten(0, 1)), WALKS[1])
        found = score("walks", walk(of.model, *PATHS, of.seed))[0]
        images = draw_between(of.model, of.scorer.n, of.seed, _training_codes(of))
        return found | {BETWEEN: of.scorer.fid(images)}
    except Declined as reason:
        reasons |= dict.fromkeys([*keys_of("walks"), BETWEEN], str(reason))
        return {}


@torch.no_grad()
def _prior(model: Method, scorer: Scorer, folder: Path, seed: int) -> dict[str, float]:
    """Score the codes of held-out examples against draws of the prior, and draw some of both.

    Raises:
        Declined: if the method has no encoder, or gives codes that are not finite.
    """
    held_out = as_float(as_tensor(np.array(scorer.dataset.test[:MOMENT_DRAWS])))
    codes = torch.cat([model.encode(x.to(model.device)).cpu() for x in held_out.split(500)])
    drawn = draw_codes(model, MOMENT_DRAWS, seed)
    if not (codes.isfinite().all() and drawn.isfinite().all()):
        raise Declined("its codes of held-out examples are not all finite")
    both = [part[:CODE_DRAWS].numpy() for part in (codes, drawn)]
    save_pairs(folder / "codes.png", both, ("codes of held-out data", "draws of the prior"))
    return score("prior", codes, drawn)[0]


@torch.no_grad()
def _on_modes(model: Method | Pair, dataset: Dataset, seed: int, reasons: dict[str, str]) -> dict[str, float]:
    """Score, where the density is known, walks between codes and what quality scores tell of the method's samples."""
    mixture = torch.from_numpy(np.asarray(dataset.modes)), dataset.mode_std
    found: dict[str, float] = {}
    try:
        found |= score("point_walks", walk(model, *POINT_PATHS, seed), *mixture)[0]
    except Declined as reason:
        reasons |= dict.fromkeys(keys_of("point_walks"), str(reason))
    try:
        if isinstance(model, Pair):
            raise Declined("points are their own codes, so that nothing is lost in any of them")
        points = draw(model, POINTS, seed).to(model.device)
        rebuilt = torch.cat([model.decode(model.encode(x)) for x in points.split(500)])
        found |= score("qualities", points.cpu(), reconstruction_errors(points, rebuilt).cpu(), *mixture)[0]
    except Declined as reason:
        reasons |= dict.fromkeys(keys_of("qualities"), str(reason))
    return found


def _training_codes(of: Subject) -> Tensor | None:
    file = of.made_by / "codes.safetensors"
    return load_file(file)["codes"].to(of.device) if file.exists() else None


def _codes(of: Subject, model: Pair, folder: Path, reasons: dict[str, str]) -> dict[str, float]:
    """Score the latent sampler apart from the decoder, and draw its picture."""
    training, seed, dataset = load_file(of.made_by / "codes.safetensors")["codes"], of.seed, of.scorer.dataset
    if dataset.kind == "points":
        held_out = as_float(as_tensor(np.array(dataset.test[:CODE_DRAWS])))
        if (plane := model.latent.plane(seed)) is not None:
            save_plane(folder / "latent.png", plane)
    else:
        held_out = load_file(of.folders["reconstruct"] / CODES)["codes"]
    drawn = draw_codes(model, CODE_DRAWS, seed)
    if dataset.kind == "image":
        save_latent(folder / "latent.png", training.numpy(), drawn.numpy(), seed)
    if len(held_out) < LEAST:
        reasons |= dict.fromkeys(keys_of("codes"), f"{len(held_out)} held-out codes; {LEAST} or more are needed")
        return {}
    return score("codes", drawn, held_out, training)[0]


@torch.no_grad()
def _mixing(of: Subject) -> dict[str, float]:
    """Return how often a transport that is extended between codes mixes modes, as the evaluator tells classes apart.

    ``cross_class_share``: of the draws that mix codes, those that mix images of different classes.
    ``neighbour_cross_class_share``: of held-out codes, those of another class than the nearest code that is drawn from;
    a test of distance can hardly do better.
    """
    model, evaluator = of.model, of.scorer.evaluator
    latent = model.latent if isinstance(model, Pair) else getattr(model, "transport", None)
    if not isinstance(latent, Sdot):
        return {}

    def classes(codes: Tensor) -> Tensor:
        chunks = codes.float().to(latent.device).split(CHUNK)
        assert evaluator is not None
        images = torch.cat([quantise(model.decode(model.project(z))) for z in chunks])
        return evaluator(images)[1].argmax(1).cpu()

    parts = [latent.mixtures(CHUNK, generator(of.seed, "sample", index)) for index in range(CODE_DRAWS // CHUNK)]
    index, weight = (torch.cat([getattr(part, name).cpu() for part in parts]) for name in ("index", "weight"))
    used, place = index.unique(return_inverse=True)
    label = classes(latent.targets[used.to(latent.device)])[place]
    label = torch.where(weight > 0, label, label.gather(1, weight.argmax(1, keepdim=True)))  # the mixture's alone
    joined = ~Mixture(index, weight).single
    held_out, targets = load_file(of.folders["reconstruct"] / CODES)["codes"], latent.targets.float().cpu()
    nearest = torch.cdist(held_out, targets).argmin(1)
    other = classes(held_out) != classes(targets[nearest])
    crossing = (label.amax(1) != label.amin(1))[joined]
    found = {"neighbour_cross_class_share": float(other.double().mean())}
    return found | ({"cross_class_share": float(crossing.double().mean())} if len(crossing) else {})


def _hwc(images: Tensor) -> np.ndarray:
    return images.permute(0, 2, 3, 1).numpy()


def _spread(images: Tensor) -> float:
    """Mean over pixels of the standard deviation across images, in [0, 1] units."""
    return float(as_float(images).std(dim=0).mean())
