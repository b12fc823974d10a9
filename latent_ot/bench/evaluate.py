"""Score one finished model under its protocol: one feature pass over its samples, the real side cached."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from safetensors.torch import load_file
from torch import Tensor

from latent_ot.bench.load import decoding, load_model, load_stage
from latent_ot.bench.reconstruct import CODES, under_gaussian
from latent_ot.bench.sampling import CHUNK, Draws, contest, draw, draw_between, draw_codes, quantise, walk
from latent_ot.bench.train import as_tensor
from latent_ot.catalog import Catalog
from latent_ot.datasets.base import Dataset
from latent_ot.errors import Declined
from latent_ot.files import write_json
from latent_ot.identity import lineage
from latent_ot.methods.base import Method, Pair
from latent_ot.metrics.base import keys_of
from latent_ot.metrics.evaluators.find import load_evaluator
from latent_ot.metrics.features import FeatureSet, cached, extract
from latent_ot.metrics.fid import Fid, Moments, fid
from latent_ot.metrics.latent import LEAST
from latent_ot.metrics.modes import POINTS, Modes, mode_coverage
from latent_ot.metrics.quality import reconstruction_errors
from latent_ot.metrics.score import score, score_images, score_points
from latent_ot.pictures.images import save_grid, save_points
from latent_ot.pictures.latent import save_latent
from latent_ot.pictures.pairs import save_pairs
from latent_ot.pictures.plane import save_plane
from latent_ot.samplers.base import LatentSampler
from latent_ot.samplers.gaussian import Gaussian
from latent_ot.samplers.sdot import Sdot
from latent_ot.seeding import derive, generator
from latent_ot.stage import Spec, Stage, as_float
from latent_ot.transport.extension import Mixture

GRID = 64
WALKS = (8, 10)  # rows and columns of the picture of interpolations
PATHS = (64, 16)  # walks and their images, behind the smoothness of interpolation
BETWEEN = "interp_fid"  # FID of images between codes
CODE_DRAWS = 1000  # behind the figures of a latent sampler's codes
MOMENT_DRAWS = 10_000  # codes of either kind behind the errors of their moments: of 8 x 8 entries the worst is at 0.03
POINT_PATHS = (500, 21)  # walks between codes of points and their steps, l = 0, 0.05, ..., 1: iWGAN, Appendix E
JUDGED = 1000  # held-out examples, and as many samples, that an adversary is shown


class Scorer:
    """What every evaluation of one (data set, protocol, seed) shares."""

    def __init__(
        self, dataset: Dataset, rules: Mapping[str, Any], weights: Path | None, cache: Path, device: torch.device
    ) -> None:
        self.dataset, self.rules, self.n = dataset, rules, rules["n"]
        self.evaluator = load_evaluator(rules["evaluator"], weights, device) if dataset.kind == "image" else None
        self.cache = cache
        self.repeats = rules["repeats"]
        rows = np.random.default_rng(derive(0, "real")).permutation(len(dataset.train))[: self.n]
        self.real = as_tensor(np.ascontiguousarray(dataset.train[np.sort(rows)]))
        self.held_out = as_tensor(np.array(dataset.test[: self.n]))

    def points(self, split: str, array: np.ndarray) -> np.ndarray:
        """Return the protocol's draws of n real points, (repeats, n, 2): the same ones for every method and seed."""
        draws = (np.random.default_rng(derive(0, split, r)).permutation(len(array)) for r in range(self.repeats))
        return np.stack([array[rows[: self.n]] for rows in draws])

    def features(self, images: Tensor) -> FeatureSet:
        """Return the evaluator's features of uint8 images (n, C, H, W)."""
        assert self.evaluator is not None
        return extract(self.evaluator, images)

    @cached_property
    def real_features(self) -> FeatureSet:
        """The features of the real reference, computed once per (data set, protocol)."""
        content = self.dataset.content_id  # it stands in the name, so that ``prune`` knows whose features they are
        parts = (self.rules["checksum"], self.n, lineage(type(self.evaluator)))
        name = hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()[:16]
        return cached(self.cache / f"features-{content}-{name}.npz", lambda: self.features(self.real))

    @property
    def real_moments(self) -> Moments:
        """Their mean and covariance, computed once."""
        return self.real_features.once(Moments.of)

    def score(self, samples: Tensor, seed: int) -> tuple[dict[str, float], dict[str, Any]]:
        """Return metrics and curves of samples, uint8 (n, C, H, W) or points (repeats n, 2)."""
        if self.dataset.kind == "points":
            real, fake = self.points("real", self.dataset.train), samples.numpy().reshape(self.repeats, self.n, -1)
            return score_points(real, fake, self.dataset.modes, self.dataset.mode_std), {}
        metrics, curves = score_images(self.real_features, self.features(samples), seed)
        return metrics | score("pictures", self.real, samples)[0], curves


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
    model = load_model(catalog, folders, device) if folders else None
    samples = _samples(model, scorer, job["seed"], report)
    metrics, curves = scorer.score(samples, job["seed"])
    reasons: dict[str, str] = {}
    facts: dict[str, Any] = {}
    if scorer.dataset.kind == "points":
        save_points(folder / "points.png", scorer.real.numpy(), samples.numpy())
        if scorer.dataset.modes is None:
            unknown = [*Modes.quantities, *keys_of("point_walks", "qualities")]
            reasons |= dict.fromkeys(unknown, f"{scorer.dataset.id} is no mixture of modes")
    else:
        save_grid(folder / "samples.png", _hwc(samples[:GRID]))
        spread, real_spread = _spread(samples), _spread(scorer.real)
        facts["sample_std"] = round(spread, 4)
        facts["collapsed"] = spread < 0.1 * real_spread
    if model is None:
        none = [*keys_of("reconstructions", "walks", "point_walks", "qualities", "codes", "prior", "scores"), BETWEEN]
        reasons |= dict.fromkeys(none, "the data row is no model")
        return {"metrics": metrics, "curves": curves, "reasons": reasons, "facts": facts}
    if scorer.dataset.kind == "image":
        rebuilt = json.loads((folders["reconstruct"] / "result.json").read_text())
        metrics |= rebuilt["metrics"]
        reasons |= rebuilt["reasons"]
        try:
            save_grid(folder / "interpolations.png", _hwc(walk(model, *WALKS, job["seed"]).flatten(0, 1)), WALKS[1])
            metrics |= score("walks", walk(model, *PATHS, job["seed"]))[0]
            between = scorer.features(draw_between(model, scorer.n, job["seed"], _training_codes(folders, device)))
            metrics[BETWEEN] = fid(scorer.real_moments, Moments.of(between.features))
        except Declined as reason:
            reasons |= dict.fromkeys([*keys_of("walks"), BETWEEN], str(reason))
        if isinstance(model, Pair):
            curves["fid_gaussian"] = _gaussian_curve(folders["train"], scorer, catalog, job["seed"], device)
        facts |= _mixing(model, folders, scorer, job["seed"])
        curve = _fid_curve(model, folders, scorer, catalog, job["seed"], device, reasons)
        if curve:
            curves["fid"] = [*curve, [_images(decoding(folders)), metrics["fid"]]]
    elif scorer.dataset.modes is not None:
        metrics |= _on_modes(model, scorer.dataset, job["seed"], reasons)
        if isinstance(model, Method):
            curves |= _mode_curves(folders, scorer.dataset, catalog, job["seed"], device, metrics)
    if isinstance(model, Pair):
        metrics |= _codes(model, folders, scorer, folder, job["seed"], reasons)
        reasons |= dict.fromkeys(keys_of("prior"), "its latent sampler was fitted to the codes")
    else:
        try:
            metrics |= _prior(model, scorer, folder, job["seed"])
        except Declined as reason:  # not every method has codes and an encoder
            reasons |= dict.fromkeys(keys_of("prior"), str(reason))
        reasons |= dict.fromkeys(keys_of("codes"), "trained end to end: no latent sampler was fitted to its codes")
    metrics |= _adversary(model, folders, scorer, catalog, job["seed"], device, curves, reasons)
    return {"metrics": metrics, "curves": curves, "reasons": reasons, "facts": facts}


def _samples(model: Method | Pair | None, scorer: Scorer, seed: int, report: Any) -> Tensor:
    """Return what is scored: the model's samples, or held-out examples in their place."""
    total = scorer.n * scorer.repeats
    if model is not None:
        return draw(model, total, seed, lambda done: report(done=done, total=2 * total))
    if scorer.dataset.kind == "points":
        return torch.from_numpy(scorer.points("held out", scorer.dataset.test)).flatten(0, 1)
    return scorer.held_out


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


def _training_codes(folders: Mapping[str, Path], device: torch.device) -> Tensor | None:
    file = decoding(folders) / "codes.safetensors"
    return load_file(file)["codes"].to(device) if file.exists() else None


def _codes(
    model: Pair, folders: dict[str, Path], scorer: Scorer, folder: Path, seed: int, reasons: dict[str, str]
) -> dict[str, float]:
    """Score the latent sampler apart from the decoder, and draw its picture."""
    training = load_file(folders["train"] / "codes.safetensors")["codes"]
    if scorer.dataset.kind == "points":
        held_out = as_float(as_tensor(np.array(scorer.dataset.test[:CODE_DRAWS])))
        if (plane := model.latent.plane(seed)) is not None:
            save_plane(folder / "latent.png", plane)
    else:
        held_out = load_file(folders["reconstruct"] / CODES)["codes"]
    drawn = draw_codes(model, CODE_DRAWS, seed)
    if scorer.dataset.kind == "image":
        save_latent(folder / "latent.png", training.numpy(), drawn.numpy(), seed)
    if len(held_out) < LEAST:
        reasons |= dict.fromkeys(keys_of("codes"), f"{len(held_out)} held-out codes; {LEAST} or more are needed")
        return {}
    return score("codes", drawn, held_out, training)[0]


@torch.no_grad()
def _mixing(model: Method | Pair, folders: Mapping[str, Path], scorer: Scorer, seed: int) -> dict[str, float]:
    """Return how often a transport that is extended between codes mixes modes, as the evaluator tells classes apart.

    ``cross_class_share``: of the draws that mix codes, those that mix images of different classes.
    ``neighbour_cross_class_share``: of held-out codes, those of another class than the nearest code that is drawn from;
    a test of distance can hardly do better.
    """
    latent = model.latent if isinstance(model, Pair) else getattr(model, "transport", None)
    if not isinstance(latent, Sdot):
        return {}

    def classes(codes: Tensor) -> Tensor:
        chunks = codes.float().to(latent.device).split(CHUNK)
        assert scorer.evaluator is not None
        images = torch.cat([quantise(model.decode(model.project(z))) for z in chunks])
        return scorer.evaluator(images)[1].argmax(1).cpu()

    parts = [latent.mixtures(CHUNK, generator(seed, "sample", index)) for index in range(CODE_DRAWS // CHUNK)]
    index, weight = (torch.cat([getattr(part, name).cpu() for part in parts]) for name in ("index", "weight"))
    used, place = index.unique(return_inverse=True)
    label = classes(latent.targets[used.to(latent.device)])[place]
    label = torch.where(weight > 0, label, label.gather(1, weight.argmax(1, keepdim=True)))  # the mixture's alone
    joined = ~Mixture(index, weight).single
    held_out, targets = load_file(folders["reconstruct"] / CODES)["codes"], latent.targets.float().cpu()
    nearest = torch.cdist(held_out, targets).argmin(1)
    other = classes(held_out) != classes(targets[nearest])
    crossing = (label.amax(1) != label.amin(1))[joined]
    found = {"neighbour_cross_class_share": float(other.double().mean())}
    return found | ({"cross_class_share": float(crossing.double().mean())} if len(crossing) else {})


def _fid_curve(
    model: Method | Pair,
    folders: dict[str, Path],
    scorer: Scorer,
    catalog: Catalog,
    seed: int,
    device: torch.device,
    reasons: dict[str, str],
) -> list[list[float]]:
    """Return [images seen, FID] at the snapshots, if a sampler is fitted to codes in closed form and the usual one."""
    if isinstance(model, Pair):
        name = type(model.latent).__module__.rpartition(".")[2]
        if not model.latent.closed_form:
            reasons["curves.fid"] = "the latent sampler is trained once, on the final codes"
            return []
        if name != model.representation.default_sampler:
            reasons["curves.fid"] = "followed with the representation's default latent sampler only"
            return []
    points = []
    images = as_tensor(scorer.dataset.train)
    for images_seen, snapshot in _snapshots(decoding(folders), catalog, device):
        then: Method | Pair = snapshot
        if isinstance(model, Pair):
            with torch.no_grad():
                codes = snapshot.codes(images)
                std = snapshot.code_std(images) if model.latent.draws else None
            sampler = type(model.latent)(model.latent.config, Spec((codes.shape[1],), len(codes), 0, 1.0, seed))
            assert isinstance(sampler, LatentSampler)
            sampler.std = std
            sampler.to(device).fit(codes.to(device))
            then = Pair(snapshot, sampler)
        features = scorer.features(draw(then, scorer.n, seed))
        points.append([images_seen, fid(scorer.real_moments, Moments.of(features.features))])
    return points


def _gaussian_curve(
    folder: Path, scorer: Scorer, catalog: Catalog, seed: int, device: torch.device
) -> list[list[float]]:
    """Return [images seen, FID] of a representation at its snapshots and its end, under a Gaussian on its codes.

    Computed once, whatever latent sampler the representation meets, and kept in its ``folder``. Nothing without
    snapshots, that is, of one that was fitted in closed form.
    """
    if not (folder / "snapshots").exists():
        return []
    made = (scorer.rules["id"], scorer.rules["checksum"], *map(lineage, (Gaussian, Fid, Draws, type(scorer.evaluator))))
    path = folder / f"fid-{hashlib.sha256(json.dumps(made).encode()).hexdigest()[:16]}.json"
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            ended = (_images(folder), load_stage(catalog, folder).to(device))
            write_json(path, [*_followed([*_snapshots(folder, catalog, device), ended], scorer, seed)])
        return json.loads(path.read_text())


@torch.no_grad()
def _followed(stages: Iterable[tuple[int, Stage]], scorer: Scorer, seed: int) -> Iterator[list[float]]:
    images = as_tensor(scorer.dataset.train)
    for images_seen, method in stages:
        assert isinstance(method, Method)
        features = scorer.features(draw(under_gaussian(method, method.codes(images)), scorer.n, seed)).features
        yield [images_seen, fid(scorer.real_moments, Moments.of(features))]


def _adversary(
    model: Method | Pair,
    folders: Mapping[str, Path],
    scorer: Scorer,
    catalog: Catalog,
    seed: int,
    device: torch.device,
    curves: dict[str, Any],
    reasons: dict[str, str],
) -> dict[str, float]:
    """Return how well the adversary tells held-out examples from samples, followed over the snapshots."""
    if isinstance(model, Pair) or model.adversary is None:
        reasons |= dict.fromkeys(keys_of("scores"), "no adversary takes part in the training")
        return {}
    real = scorer.held_out[:JUDGED]
    found = score("scores", *contest(model, real, seed))[0]
    then = [
        (seen, score("scores", *contest(one, real, seed))[0])
        for seen, one in _snapshots(decoding(folders), catalog, device)
    ]
    then.append((_images(decoding(folders)), found))
    curves |= {name: [[seen, values[name]] for seen, values in then] for name in found}
    return found


def _mode_curves(
    folders: Mapping[str, Path],
    dataset: Dataset,
    catalog: Catalog,
    seed: int,
    device: torch.device,
    end: Mapping[str, float],
) -> dict[str, list[list[float]]]:
    """Return [points seen, value] at the snapshots and at the end for each figure of mode coverage."""
    assert dataset.mode_std is not None
    curves: dict[str, list[list[float]]] = {"modes": [], "high_quality": []}
    for points_seen, snapshot in _snapshots(decoding(folders), catalog, device):
        covered = mode_coverage(draw(snapshot, POINTS, seed).numpy(), dataset.modes, dataset.mode_std)
        for name, curve in curves.items():
            curve.append([points_seen, covered[name]])
    return {name: [*curve, [_images(decoding(folders)), end[name]]] for name, curve in curves.items()}


def _snapshots(folder: Path, catalog: Catalog, device: torch.device) -> Iterator[tuple[int, Method]]:
    """Yield what a method was at shares of its budget, with the images seen by then."""
    for weights in sorted((folder / "snapshots").glob("*.safetensors")):
        snapshot = load_stage(catalog, folder, weights).to(device)
        assert isinstance(snapshot, Method)
        yield int(weights.stem), snapshot


def _images(folder: Path) -> int:
    return int(json.loads((folder / "result.json").read_text())["images_seen"])


def _hwc(images: Tensor) -> np.ndarray:
    return images.permute(0, 2, 3, 1).numpy()


def _spread(images: Tensor) -> float:
    """Mean over pixels of the standard deviation across images, in [0, 1] units."""
    return float(as_float(images).std(dim=0).mean())
