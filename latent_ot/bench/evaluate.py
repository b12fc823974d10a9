"""Score one finished model under its protocol: one feature pass over its samples, the real side cached."""

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latent_ot.bench.load import load_model, load_stage
from latent_ot.bench.sampling import draw, rebuild
from latent_ot.bench.train import as_tensor
from latent_ot.catalog import Catalog
from latent_ot.datasets.base import Dataset
from latent_ot.errors import Declined
from latent_ot.methods.base import Method, Pair
from latent_ot.metrics.evaluators.base import load_evaluator
from latent_ot.metrics.features import FeatureSet, cached, extract
from latent_ot.metrics.fid import fid
from latent_ot.metrics.psnr import psnr
from latent_ot.metrics.score import score_images, score_points
from latent_ot.metrics.ssim import ssim
from latent_ot.report.images import save_grid, save_points, save_strip
from latent_ot.samplers.base import LatentSampler
from latent_ot.seeding import derive
from latent_ot.stage import Spec, as_float

GRID = 64
STRIP = 16


class Scorer:
    """What every evaluation of one (data set, protocol, seed) shares."""

    def __init__(
        self, dataset: Dataset, rules: Mapping[str, Any], weights: Path | None, cache: Path, device: torch.device
    ) -> None:
        self.dataset, self.rules, self.n = dataset, rules, rules["n"]
        self.evaluator = load_evaluator(rules["evaluator"], weights, device) if dataset.kind == "image" else None
        self.cache = cache
        rows = np.random.default_rng(derive(0, "real")).permutation(len(dataset.train))[: self.n]
        self.real = as_tensor(np.ascontiguousarray(dataset.train[np.sort(rows)]))
        self.held_out = as_tensor(np.ascontiguousarray(dataset.test[: self.n]))

    def features(self, images: Tensor) -> FeatureSet:
        """Return the evaluator's features of uint8 images (n, C, H, W)."""
        assert self.evaluator is not None
        return extract(self.evaluator, images)

    @cached_property
    def real_features(self) -> FeatureSet:
        """The features of the real reference, computed once per (data set, protocol)."""
        parts = (self.dataset.content_id, self.rules["checksum"], self.n)
        name = hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()[:16]
        return cached(self.cache / f"features-{name}.npz", lambda: self.features(self.real))

    def score(self, samples: Tensor, seed: int) -> tuple[dict[str, float], dict[str, Any]]:
        """Return metrics and curves of samples, uint8 (n, C, H, W) or points (n, 2)."""
        if self.dataset.kind == "points":
            return score_points(self.real.numpy(), samples.numpy(), self.dataset.modes, self.dataset.mode_std), {}
        return score_images(self.real_features, self.features(samples), seed)


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
    n, seed = scorer.n, job["seed"]
    total = 2 * n
    if not folders:
        samples, model = scorer.held_out[:n], None
    else:
        model = load_model(catalog, folders, device)
        samples = draw(model, n, seed, lambda done: report(done=done, total=total))
    metrics, curves = scorer.score(samples, seed)
    report(done=total - 1, total=total)
    reasons: dict[str, str] = {}
    facts: dict[str, Any] = {}
    if scorer.dataset.kind == "points":
        save_points(folder / "points.png", scorer.real.numpy(), samples.numpy())
    else:
        save_grid(folder / "samples.png", _hwc(samples[:GRID]))
        spread, real_spread = _spread(samples), _spread(scorer.real)
        facts["sample_std"] = round(spread, 4)
        facts["collapsed"] = spread < 0.1 * real_spread
    if model is not None and scorer.dataset.kind == "image":
        try:
            metrics |= _reconstruct(model, scorer, job, folder, device)
        except Declined as reason:
            reasons["psnr"] = reasons["ssim"] = str(reason)
        curve = _fid_curve(model, folders, scorer, catalog, seed, device, reasons)
        if curve:
            curves["fid"] = [*curve, [_images(folders["train"]), metrics["fid"]]]
    elif model is None:
        reasons["psnr"] = reasons["ssim"] = "the data row is not reconstructed"
    if isinstance(model, Pair):
        model.latent.picture(folder / "latent.png", seed)
    return {"metrics": metrics, "curves": curves, "reasons": reasons, "facts": facts}


def _reconstruct(
    model: Method | Pair, scorer: Scorer, job: Mapping[str, Any], folder: Path, device: torch.device
) -> dict:
    """Reconstruct the protocol's held-out images; PSNR in dB and SSIM on uint8-quantised images."""
    rules = scorer.rules["reconstruction"]
    originals = scorer.held_out[: rules["images"]]
    rebuilt = rebuild(model, as_float(originals).to(device), job["seed"], rules["steps"])
    save_strip(folder / "reconstructions.png", _hwc(originals[:STRIP]), _hwc(rebuilt[:STRIP]))
    return {"psnr": psnr(originals, rebuilt), "ssim": ssim(originals, rebuilt)}


def _fid_curve(
    model: Method | Pair,
    folders: dict[str, Path],
    scorer: Scorer,
    catalog: Catalog,
    seed: int,
    device: torch.device,
    reasons: dict[str, str],
) -> list[list[float]]:
    """Return [images seen, FID] at the snapshots; a sampler that trains by steps is not refitted at each of them."""
    if isinstance(model, Pair) and not model.latent.closed_form:
        reasons["curves.fid"] = "the latent sampler is trained once, on the final codes"
        return []
    points = []
    images = as_tensor(scorer.dataset.train)
    for weights in sorted((folders["train"] / "snapshots").glob("*.safetensors")):
        snapshot = load_stage(catalog, folders["train"], weights).to(device)
        assert isinstance(snapshot, Method)
        then: Method | Pair = snapshot
        if isinstance(model, Pair):
            with torch.no_grad():
                codes = snapshot.codes(images)
            sampler = type(model.latent)(model.latent.config, Spec((codes.shape[1],), len(codes), 0, 1.0, seed))
            assert isinstance(sampler, LatentSampler)
            sampler.to(device).fit(codes.to(device))
            then = Pair(snapshot, sampler)
        features = scorer.features(draw(then, scorer.n, seed))
        points.append([int(weights.stem), fid(scorer.real_features.moments, features.moments)])
    return points


def _images(folder: Path) -> int:
    return int(json.loads((folder / "result.json").read_text())["images_seen"])


def _hwc(images: Tensor) -> np.ndarray:
    return images.permute(0, 2, 3, 1).numpy()


def _spread(images: Tensor) -> float:
    """Mean over pixels of the standard deviation across images, in [0, 1] units."""
    return float(as_float(images).std(dim=0).mean())
