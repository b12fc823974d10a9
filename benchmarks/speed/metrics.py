"""FID, neighbourhood metrics and the usual set of four against their peers: `python benchmarks/speed/metrics.py`.

Every case runs in a process of its own on the same synthetic features, non-negative and of decaying spectrum as
Inception's are; extracting features costs all of them the same and is left out. A peer that is not installed is
recorded as null. OMP_NUM_THREADS=1 makes CPU times, and so their ratios, independent of other work on the machine.
"""

import importlib.util
import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from timing import alone, measure, write
from torch import Tensor

from latent_ot.metrics.fid import Moments, fid
from latent_ot.metrics.inception_score import inception_score
from latent_ot.metrics.kid import Kernels
from latent_ot.metrics.pairwise import Features, sweep
from latent_ot.metrics.prdc import Neighbourhoods, prdc

WIDTH, CLASSES = 2048, 1008


def features(n: int, seed: int) -> Tensor:
    """Return float32 features (n, 2048)."""
    g = torch.Generator().manual_seed(seed)
    scale = 0.7 * torch.arange(1, WIDTH + 1) ** -0.5
    mix = torch.randn(WIDTH, WIDTH, generator=torch.Generator().manual_seed(0)) / WIDTH**0.5
    return (torch.randn(n, WIDTH, generator=g) * scale @ mix + 0.03 + 0.01 * seed).relu()


def torchmetrics_fid(real: Tensor, fake: Tensor) -> float:
    """Return torchmetrics' FID of ready features, given in one batch."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    class Ready(torch.nn.Module):
        num_features = WIDTH

        def forward(self, x: Tensor) -> Tensor:
            return x

    metric = FrechetInceptionDistance(feature=Ready())
    metric.set_dtype(torch.float64)
    metric.update(real.double(), real=True)
    metric.update(fake.double(), real=False)
    return float(metric.compute())


def fidelity_fid(real: Tensor, fake: Tensor) -> float:
    """Return torch-fidelity's FID."""
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    statistics = fid_features_to_statistics(real), fid_features_to_statistics(fake)
    return fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]


def prdc_package(real: Tensor, fake: Tensor) -> dict[str, float]:
    """Return precision, recall, density and coverage by their authors' package."""
    from prdc import compute_prdc

    return {name: float(v) for name, v in compute_prdc(real.numpy(), fake.numpy(), nearest_k=5).items()}


def four(real: Tensor, fake: Tensor) -> dict[str, float]:
    """Return FID, IS, KID, precision and recall, the last three of one pass."""
    pairs = Features(real, fake)
    kernels, neighbourhoods = Kernels(pairs), Neighbourhoods(pairs, k=3)
    sweep(pairs, kernels, neighbourhoods)
    score, _ = inception_score(fake[:, :CLASSES])
    shares = {name: neighbourhoods.result()[name] for name in ("precision", "recall")}
    return {"fid": fid(real, fake), "is": score, "kid": kernels.result()["kid"], **shares}


def fidelity_four(real: Tensor, fake: Tensor) -> dict[str, float]:
    """Return the same by torch-fidelity."""
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torch_fidelity.metric_prc import prc_features_to_metric

    score = isc_features_to_metric(fake[:, :CLASSES])["inception_score_mean"]
    distance = kid_features_to_metric(real, fake, verbose=False)["kernel_inception_distance_mean"]
    shares = prc_features_to_metric(fake, real, verbose=False)
    precision_recall = {name: shares[name] for name in ("precision", "recall")}
    return {"fid": fidelity_fid(real, fake), "is": score, "kid": distance, **precision_recall}


def fid_of_moments(real: Tensor, fake: Tensor) -> Callable[[], float]:
    """Return FID with the statistics of both sides at hand, which for us are factors."""
    first, second = Moments.of(real), Moments.of(fake)
    return lambda: fid(first, second)


def torchmetrics_of_moments(real: Tensor, fake: Tensor) -> Callable[[], float]:
    """Return the same by torchmetrics, whose statistics are covariances."""
    from torchmetrics.image.fid import _compute_fid

    (m, s), (n, t) = ((x.double().mean(0), torch.cov(x.double().T)) for x in (real, fake))
    return lambda: float(_compute_fid(m, s, n, t))


def scipy_of_moments(real: Tensor, fake: Tensor) -> Callable[[], float]:
    """Return the same by the matrix square root, as the original implementation takes it."""
    from scipy.linalg import sqrtm

    (m, s), (n, t) = ((x.double().mean(0).numpy(), np.cov(x.double().numpy(), rowvar=False)) for x in (real, fake))
    return lambda: float((m - n) @ (m - n) + np.trace(s) + np.trace(t) - 2 * np.trace(sqrtm(s @ t)).real)


def from_features(metric: Callable[[Tensor, Tensor], Any]) -> Callable[[Tensor, Tensor], Callable[[], Any]]:
    """Measure a metric as a whole."""
    return lambda real, fake: lambda: metric(real, fake)


# name -> samples, repeats, what turns two feature sets into the call to measure, the package it needs
CASES: dict[str, tuple[int, int, Callable[[Tensor, Tensor], Callable[[], Any]], str | None]] = {
    "fid of statistics/ours": (10_000, 3, fid_of_moments, None),
    "fid of statistics/torchmetrics": (10_000, 1, torchmetrics_of_moments, "torchmetrics"),
    "fid of statistics/scipy sqrtm": (10_000, 1, scipy_of_moments, "scipy"),
    "fid/ours": (10_000, 3, from_features(fid), None),
    "fid/torchmetrics": (10_000, 1, from_features(torchmetrics_fid), "torchmetrics"),
    "fid/torch-fidelity": (10_000, 1, from_features(fidelity_fid), "torch_fidelity"),
    "prdc/ours": (10_000, 3, from_features(prdc), None),
    "prdc/prdc": (10_000, 1, from_features(prdc_package), "prdc"),
    "fid+is+kid+pr/ours": (5_000, 3, from_features(four), None),
    "fid+is+kid+pr/torch-fidelity": (5_000, 1, from_features(fidelity_four), "torch_fidelity"),
}


def run(name: str) -> None:
    """Measure one case and print it as JSON."""
    n, repeats, prepare, _ = CASES[name]
    prepare(features(1500, 1), features(1500, 2))()  # threads started, libraries loaded
    cost, value = measure(prepare(features(n, 1), features(n, 2)), repeats)
    print(json.dumps(cost | {"value": value, "samples": n}))


def main() -> None:
    """Measure all cases and write them with the ratios of this run."""
    found: dict[str, Any] = {}
    for name, (*_, package) in CASES.items():
        missing = package is not None and importlib.util.find_spec(package) is None
        found[name] = None if missing else alone(__file__, name)
        if missing:
            print(f"{package} is not installed: {name} is left out", file=sys.stderr)
    ratios = {
        name: {
            unit: round(cost[unit] / found[f"{name.split('/')[0]}/ours"][unit], 2)
            for unit in ("seconds", "cpu_seconds", "memory_mb")
        }
        for name, cost in found.items()
        if cost is not None and not name.endswith("/ours")
    }
    write(__file__, {"cases": found, "times_ours": ratios})


if __name__ == "__main__":
    run(sys.argv[1]) if len(sys.argv) > 1 else main()
