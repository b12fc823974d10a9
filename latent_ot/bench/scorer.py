"""What samples of a data set are scored against under a protocol: the real side is made once and kept."""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latent_ot.bench.drawn import Drawn
from latent_ot.bench.train import as_tensor
from latent_ot.datasets.base import Dataset
from latent_ot.errors import TooFew
from latent_ot.identity import lineage
from latent_ot.metrics.base import ALONE, keys_of
from latent_ot.metrics.evaluators.find import load_evaluator
from latent_ot.metrics.features import FeatureSet, cached, extract
from latent_ot.metrics.fid import Moments, fid, with_interval
from latent_ot.metrics.score import Scores, score, score_images, score_points
from latent_ot.metrics.training import Training
from latent_ot.seeding import derive

AT_ONCE = 2000  # training images that are read at a time
MOST = 2**31  # bytes of the features of training images, which are held in memory: 400,000 of 1,280 numbers each


class Scorer:
    """What every evaluation of one (data set, protocol, seed) shares."""

    def __init__(
        self,
        dataset: Dataset,
        rules: Mapping[str, Any],
        weights: Path | None,
        cache: Path,
        device: torch.device,
        drawn: Drawn | None = None,
    ) -> None:
        self.dataset, self.rules, self.n = dataset, rules, rules["n"]
        self.evaluator = load_evaluator(rules["evaluator"], weights, device) if dataset.kind == "image" else None
        self.cache, self.device, self.drawn = cache, device, drawn or Drawn()
        self.repeats = rules["repeats"]
        rows = np.random.default_rng(derive(0, "real")).permutation(len(dataset.train))
        self.real = as_tensor(np.ascontiguousarray(dataset.train[np.sort(rows[: self.n])]))
        self.held_out = as_tensor(np.array(dataset.test[: self.n]))
        self.apart = len(rows) >= 2 * self.n
        """Whether there are as many training images beside those of the reference."""
        self.known_rows = np.sort(rows[self.n : 2 * self.n] if self.apart else rows[: self.n])
        """The places of n training images, others than those of the reference if there are so many."""

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
        """The features of the real reference, computed once per (data set, protocol), kind of device and threads."""
        return cached(self._kept(self.n), lambda: self.features(self.real), FeatureSet)

    def _kept(self, *of: Any) -> Path:
        """Return where features are kept, ``of`` which images beside the data set."""
        content = self.dataset.content_id  # it stands in the name, so that ``prune`` knows whose features they are
        made_on = self.device.type, torch.get_num_threads()  # by which sums differ
        parts = (self.rules["checksum"], *of, lineage(type(self.evaluator)), *made_on)
        name = hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()[:16]
        return self.cache / f"features-{content}-{name}.npz"

    @cached_property
    def training(self) -> Training:
        """All training images and the held-out ones, looked at once per (data set, protocol), device and threads.

        Raises:
            TooFew: for more than can be held in memory, or where none differ.
        """
        images, width = self.dataset.train, self.real_features.features.shape[1]
        if 4 * width * len(images) > MOST:
            most = f"allowed: {MOST // (4 * width):,} at most, as are held in memory"
            raise TooFew(f"copies are sought among all training images, which are {len(images):,}; {most}")

        def look() -> Training:
            parts = (as_tensor(np.array(images[i : i + AT_ONCE])) for i in range(0, len(images), AT_ONCE))
            known = torch.cat([self.features(part).features for part in parts])
            return Training.of(known, self.features(self.held_out).features)

        return cached(self._kept("training", self.n, Training.version), look, Training)

    def known_images(self) -> Tensor:
        """Return the training images at ``known_rows``, uint8 (n, C, H, W)."""
        return as_tensor(np.array(self.dataset.train[self.known_rows]))

    @property
    def real_moments(self) -> Moments:
        """Their mean and covariance, computed once."""
        return self.real_features.once(Moments.of)

    def score(self, samples: Tensor, seed: int, reasons: dict[str, str], features: FeatureSet | None = None) -> Scores:
        """Return metrics and curves of samples, uint8 (n, C, H, W) or points (repeats n, 2).

        To ``reasons`` goes why there are none of some: too few samples. ``features``: those of images, if known.
        """
        if self.dataset.kind == "points":
            real, fake = self.points("real", self.dataset.train), samples.numpy().reshape(self.repeats, self.n, -1)
            return score_points(real, fake, self.dataset.modes, self.dataset.mode_std), {}
        features = features or self.features(samples)
        metrics, curves = score_images(self.real_features, features, seed, reasons)
        if measured := ALONE.get(self.rules["evaluator"]):
            metrics |= score(measured, self.real_features, features, seed, reasons=reasons)[0]
        metrics |= score("pictures", self.real, samples, reasons=reasons)[0]
        return metrics | self.copies(features, reasons), curves

    def copies(self, samples: FeatureSet, reasons: dict[str, str]) -> dict[str, float]:
        """Return how samples lie beside the training images; to ``reasons`` goes why that cannot be said."""
        try:
            return score("copies", self.training, samples, reasons=reasons)[0]
        except TooFew as reason:
            reasons |= dict.fromkeys(keys_of("copies"), str(reason))
            return {}

    def fid(self, samples: Tensor) -> float:
        """Return the FID of images, uint8 (n, C, H, W), against the real reference.

        Raises:
            TooFew: for a single one.
        """
        return fid(self.real_moments, Moments.of(self.features(samples).features))

    def fid_of(self, samples: FeatureSet) -> float:
        """Return the FID of images with these features, with the interval of their sampling.

        Raises:
            TooFew: for a single one.
        """
        return with_interval(self.real_features, samples)
