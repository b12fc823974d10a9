"""What samples of a data set are scored against under a protocol: the real side is made once and kept."""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latent_ot.bench.train import as_tensor
from latent_ot.datasets.base import Dataset
from latent_ot.identity import lineage
from latent_ot.metrics.evaluators.find import load_evaluator
from latent_ot.metrics.features import FeatureSet, cached, extract
from latent_ot.metrics.fid import Moments, fid
from latent_ot.metrics.score import score, score_images, score_points
from latent_ot.seeding import derive


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

    def fid(self, samples: Tensor) -> float:
        """Return the FID of images, uint8 (n, C, H, W), against the real reference."""
        return fid(self.real_moments, Moments.of(self.features(samples).features))
