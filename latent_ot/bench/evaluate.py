"""Score one finished model under its protocol: one feature pass over its samples, the real side cached."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latent_ot.bench import contract
from latent_ot.bench.follow import Subject, follow
from latent_ot.bench.load import load_model
from latent_ot.bench.reconstruct import CODES
from latent_ot.bench.sampling import CHUNK, draw, draw_between, draw_codes, quantise, walk
from latent_ot.bench.scorer import Scorer
from latent_ot.bench.store import result_of
from latent_ot.bench.train import as_tensor
from latent_ot.catalog import Catalog
from latent_ot.datasets.base import Dataset
from latent_ot.errors import Declined, TooFew
from latent_ot.methods.base import Method, Pair
from latent_ot.metrics.base import keys_of
from latent_ot.metrics.estimate import intervals
from latent_ot.metrics.features import FeatureSet
from latent_ot.metrics.modes import POINTS, Modes
from latent_ot.metrics.quality import reconstruction_errors
from latent_ot.metrics.score import score
from latent_ot.pictures.images import save_grid, save_points, save_strip
from latent_ot.pictures.latent import save_latent
from latent_ot.pictures.pairs import save_pairs
from latent_ot.pictures.plane import save_plane
from latent_ot.record import REBUILT, TRAINING
from latent_ot.samplers.sdot import Sdot
from latent_ot.seeding import generator
from latent_ot.stage import as_float
from latent_ot.tensors import read_codes
from latent_ot.transport.extension import Mixture

GRID = 64
COPIES = 10  # samples in the picture of the most copied
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
    told = of_samples(scorer, samples, seed, folder, "" if folders else "the data row is no model")
    metrics, reasons, facts = told["metrics"], told["reasons"], told["facts"]
    if model is None:
        beside = {} if dataset.kind == "points" else {TRAINING: _training_images(scorer, seed)}
        return told | _with_intervals(metrics, beside)
    of = Subject(model, folders, seed, scorer, catalog, device)
    beside, known = {}, {}
    if dataset.kind == "image":
        rebuilt = result_of(folders["reconstruct"])
        assert rebuilt is not None
        metrics |= rebuilt["metrics"]
        known = rebuilt.get("intervals", {})
        beside = _rebuilt(of, reasons)
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
            metrics |= _prior(model, scorer, folder, seed, reasons)
        except Declined as reason:  # not every method has codes and an encoder
            reasons |= dict.fromkeys(keys_of("prior"), str(reason))
        reasons |= dict.fromkeys(keys_of("codes"), "trained end to end: no latent sampler was fitted to its codes")
    followed = follow(of, samples, metrics, reasons)
    metrics |= {name: followed[name][-1][1] for name in keys_of("scores") if name in followed}
    return told | _with_intervals(metrics, beside, known) | {"curves": told["curves"] | followed}


def _with_intervals(
    metrics: Mapping[str, float],
    beside: Mapping[str, Mapping[str, float]],
    known: Mapping[str, Sequence[float]] = MappingProxyType({}),
) -> dict[str, Any]:
    """Return what a result says of figures, those of yardsticks ``beside``, and of their intervals.

    ``known``: intervals of figures that were read from a file.
    """
    others = {name: {"metrics": found, "intervals": intervals(found)} for name, found in beside.items() if found}
    return {"metrics": metrics, "intervals": {**intervals(metrics), **known}, "yardsticks": others}


def _save_copies(scorer: Scorer, samples: Tensor, features: FeatureSet, folder: Path) -> None:
    """Draw the samples nearest to a training image, for what that image's neighbours are, above the images."""
    most = scorer.training.copied(features).sort(stable=True).indices[:COPIES]
    rows = features.once(scorer.training.reach).image[most].numpy()
    save_strip(folder / "copies.png", _hwc(samples[most]), np.stack([scorer.dataset.train[row] for row in rows]))


def _training_images(scorer: Scorer, seed: int) -> dict[str, float]:
    """Return the figures of training images scored as samples: what a generator has that gives them back.

    Where the reference holds them, too, only how they lie beside the training images.
    """
    images, reasons = scorer.known_images(), dict[str, str]()
    return scorer.score(images, seed, reasons)[0] if scorer.apart else scorer.copies(scorer.features(images), reasons)


@torch.no_grad()
def _rebuilt(of: Subject, reasons: dict[str, str]) -> dict[str, dict[str, float]]:
    """Return, under its name, the figures of training images as the model makes them of their own codes.

    They tell what it loses of an image from what it adds. Without codes of training images there are none: to search
    for them would take hours.
    """
    scorer, chunks = of.scorer, []
    codes = _training_codes(of)
    try:
        for rows in np.split(scorer.known_rows, range(CHUNK, len(scorer.known_rows), CHUNK)):
            if codes is None:
                images = as_float(as_tensor(np.array(scorer.dataset.train[rows]))).to(of.device)
            z = contract.encode(of.model, images) if codes is None else codes[torch.from_numpy(rows).to(codes.device)]
            chunks.append(quantise(contract.decode(of.model, z)))
    except Declined as reason:
        reasons[REBUILT] = str(reason)
        return {}
    features = scorer.features(torch.cat(chunks))
    found = scorer.copies(features, {})
    if scorer.apart and len(features) > 1:
        found["fid"] = scorer.fid_of(features)
    return {REBUILT: found}


def of_samples(
    scorer: Scorer, samples: Tensor, seed: int, folder: Path | None = None, alone: str = ""
) -> dict[str, Any]:
    """Return what samples alone determine, whoever drew them.

    Args:
        scorer: of the protocol.
        samples: uint8 (n, C, H, W), or points (repeats n, 2).
        seed: of the clusterings behind precision and recall.
        folder: for their pictures.
        alone: why no figure needs more than the samples, where there is no model.

    Returns:
        ``metrics``, their ``intervals``, ``yardsticks`` (none), ``curves``, ``reasons`` and ``facts``.
    """
    dataset, reasons, facts = scorer.dataset, dict[str, str](), dict[str, Any]()
    features = None if dataset.kind == "points" else scorer.features(samples)
    metrics, curves = scorer.score(samples, seed, reasons, features)
    if features is None:
        if folder is not None:
            save_points(folder / "points.png", scorer.real.numpy(), samples.numpy())
        if dataset.modes is None:
            unknown = [*Modes.quantities, *keys_of("point_walks", "qualities")]
            reasons |= dict.fromkeys(unknown, f"{dataset.id} is no mixture of modes")
    else:
        if folder is not None:
            save_grid(folder / "samples.png", _hwc(samples[:GRID]))
            if "copied" in metrics:
                _save_copies(scorer, samples, features, folder)
        spread, real_spread = _spread(samples), _spread(scorer.real)
        facts["sample_std"] = round(spread, 4)
        facts["collapsed"] = spread < 0.1 * real_spread
    if alone:
        none = [*keys_of("reconstructions", "walks", "point_walks", "qualities", "codes", "prior", "scores"), BETWEEN]
        reasons |= dict.fromkeys(none, alone)
    return {**_with_intervals(metrics, {}), "curves": curves, "reasons": reasons, "facts": facts}


def _samples(model: Method | Pair | None, scorer: Scorer, seed: int, report: Any) -> Tensor:
    """Return what is scored: the model's samples, or held-out examples in their place."""
    total = scorer.n * scorer.repeats
    if model is not None:

        def told(done: int) -> None:
            report(done=done, total=2 * total)

        return scorer.drawn.once("samples", partial(draw, model, total, seed, told))
    if scorer.dataset.kind == "points":
        return torch.from_numpy(scorer.points("held out", scorer.dataset.test)).flatten(0, 1)
    return scorer.held_out


def _between(of: Subject, folder: Path, reasons: dict[str, str]) -> dict[str, float]:
    """Score the images between codes, and draw some walks."""
    drawn = of.scorer.drawn
    try:
        save_grid(folder / "interpolations.png", _hwc(walk(of.model, *WALKS, of.seed).flatten(0, 1)), WALKS[1])
        paths = drawn.once("walks", partial(walk, of.model, *PATHS, of.seed))
        found = score("walks", paths, reasons=reasons)[0]
        images = drawn.once("between", partial(draw_between, of.model, of.scorer.n, of.seed, _training_codes(of)))
    except Declined as reason:
        reasons |= dict.fromkeys([*keys_of("walks"), BETWEEN], str(reason))
        return {}
    try:
        return found | {BETWEEN: of.scorer.fid_of(of.scorer.features(images))}
    except TooFew as reason:
        reasons[BETWEEN] = str(reason)
        return found


@torch.no_grad()
def _prior(
    model: Method, scorer: Scorer, folder: Path, seed: int, reasons: dict[str, str] | None = None
) -> dict[str, float]:
    """Score the codes of held-out examples against draws of the prior, and draw some of both; see ``score``.

    Raises:
        Declined: if the method has no encoder, or gives codes that are not finite.
    """
    held_out = as_float(as_tensor(np.array(scorer.dataset.test[:MOMENT_DRAWS])))
    codes = torch.cat([contract.encode(model, x.to(model.device)).cpu() for x in held_out.split(500)])
    drawn = draw_codes(model, MOMENT_DRAWS, seed)
    if not (codes.isfinite().all() and drawn.isfinite().all()):
        raise Declined("its codes of held-out examples are not all finite")
    both = [part[:CODE_DRAWS].numpy() for part in (codes, drawn)]
    save_pairs(folder / "codes.png", both, ("codes of held-out data", "draws of the prior"))
    return score("prior", codes, drawn, reasons=reasons)[0]


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
        rebuilt = torch.cat([contract.decode(model, contract.encode(model, x)) for x in points.split(500)])
        found |= score("qualities", points.cpu(), reconstruction_errors(points, rebuilt).cpu(), *mixture)[0]
    except Declined as reason:
        reasons |= dict.fromkeys(keys_of("qualities"), str(reason))
    return found


def _training_codes(of: Subject) -> Tensor | None:
    file = of.made_by / "codes.safetensors"
    return read_codes(file).to(of.device) if file.exists() else None


def _codes(of: Subject, model: Pair, folder: Path, reasons: dict[str, str]) -> dict[str, float]:
    """Score the latent sampler apart from the decoder, and draw its picture."""
    training, seed, dataset = read_codes(of.made_by / "codes.safetensors"), of.seed, of.scorer.dataset
    if dataset.kind == "points":
        held_out = as_float(as_tensor(np.array(dataset.test[:CODE_DRAWS])))
        if (plane := model.latent.plane(seed)) is not None:
            save_plane(folder / "latent.png", plane)
    else:
        held_out = read_codes(of.folders["reconstruct"] / CODES)
    drawn = draw_codes(model, CODE_DRAWS, seed)
    if dataset.kind == "image":
        save_latent(folder / "latent.png", training.numpy(), drawn.numpy(), seed)
    return score("codes", drawn, held_out, training, reasons=reasons)[0]


@torch.no_grad()
def _mixing(of: Subject) -> dict[str, float]:
    """Return how often a transport that is extended between codes mixes modes, as the evaluator tells classes apart.

    ``cross_class_share``: of the draws that mix codes, those that mix images of different classes.
    ``neighbour_cross_class_share``: of held-out codes, those of another class than the nearest code that is drawn from;
    a test of distance can hardly do better.
    """
    model, evaluator = of.model, of.scorer.evaluator
    latent = model.latent if isinstance(model, Pair) else getattr(model, "transport", None)
    if not isinstance(latent, Sdot) or evaluator is None or not evaluator.classes:
        return {}

    def classes(codes: Tensor) -> Tensor:
        chunks = codes.float().to(latent.device).split(CHUNK)
        images = torch.cat([quantise(contract.decode(model, model.project(z))) for z in chunks])
        return evaluator(images)[1].argmax(1).cpu()

    parts = [latent.mixtures(CHUNK, generator(of.seed, "sample", index)) for index in range(CODE_DRAWS // CHUNK)]
    index, weight = (torch.cat([getattr(part, name).cpu() for part in parts]) for name in ("index", "weight"))
    used, place = index.unique(return_inverse=True)
    label = classes(latent.targets[used.to(latent.device)])[place]
    label = torch.where(weight > 0, label, label.gather(1, weight.argmax(1, keepdim=True)))  # the mixture's alone
    joined = ~Mixture(index, weight).single
    held_out, targets = read_codes(of.folders["reconstruct"] / CODES), latent.targets.float().cpu()
    nearest = torch.cdist(held_out, targets).argmin(1)
    other = classes(held_out) != classes(targets[nearest])
    crossing = (label.amax(1) != label.amin(1))[joined]
    found = {"neighbour_cross_class_share": float(other.double().mean())}
    return found | ({"cross_class_share": float(crossing.double().mean())} if len(crossing) else {})


def _hwc(images: Tensor) -> np.ndarray:
    return images.permute(0, 2, 3, 1).numpy()


def _spread(images: Tensor) -> float:
    """Mean over pixels of the standard deviation across images, in [0, 1] units; 0 of a single one."""
    return float(as_float(images).std(dim=0).mean()) if len(images) > 1 else 0.0
