"""What intervals of sampling cost: `OMP_NUM_THREADS=1 python benchmarks/speed/intervals.py`.

All metrics of features, as one run is scored, with their intervals and without: FID from moments alone, KID without the
sums over each sample's pairs, neighbourhoods without subsamples. Extracting features costs the same and is left out.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import torch
from timing import alone, measure, write

from latent_ot.metrics.class_shares import class_distance
from latent_ot.metrics.features import FeatureSet
from latent_ot.metrics.fid import Moments, fid, with_interval
from latent_ot.metrics.inception_score import inception_score
from latent_ot.metrics.kid import Kernels
from latent_ot.metrics.pairwise import Features, Tile, sweep
from latent_ot.metrics.prd import prd
from latent_ot.metrics.prdc import Neighbourhoods
from latent_ot.metrics.recognition import recognised
from latent_ot.metrics.score import score_images

SIZES = ((1000, 128), (1000, 1280), (4000, 128))
"""Samples and features: the protocol of mnist5k, an ImageNet network under it, a larger one."""


class Bare(Kernels):
    """KID of subsets alone."""

    def visit(self, tile: Tile) -> None:
        """Add the tile's pairs to the sums of the subsets."""
        kernel = self.kernel(tile)
        sums = (self.members[tile.left][tile.rows] * (kernel @ self.members[tile.right][tile.cols])).sum(dim=0)
        if tile.left != tile.right:
            self.between += sums
        else:
            self.within += sums if tile.on_diagonal else 2 * sums

    def variance(self) -> float:
        """Return nothing."""
        return 0.0


def sets(n: int, width: int) -> tuple[FeatureSet, FeatureSet]:
    """Return two sets of non-negative features (n, width) of decaying spectrum, with logits of ten classes."""
    found = []
    mix = torch.randn(width, width, generator=torch.Generator().manual_seed(0)) / width**0.5
    for seed in (1, 2):
        g = torch.Generator().manual_seed(seed)
        x = (torch.randn(n, width, generator=g) * torch.arange(1, width + 1) ** -0.5 @ mix + 0.05 * seed).relu()
        found.append(FeatureSet(x, 3 * torch.randn(n, 10, generator=g)))
    return found[0], found[1]


def without(real: FeatureSet, fake: FeatureSet) -> dict[str, Any]:
    """Return the figures of one run as they were before intervals."""
    pairs = Features(real.features, fake.features)
    kernels, neighbourhoods = Bare(pairs), Neighbourhoods(pairs)
    sweep(pairs, kernels, neighbourhoods)
    curve = prd(real.features, fake.features, 0)
    return {
        "fid": fid(Moments.of(real.features), Moments.of(fake.features)),
        "is": inception_score(fake.logits)[0],
        "class_tv": class_distance(real.logits, fake.logits),
        "confidence": recognised(fake.logits)[1],
        "prd_f8": curve.f8,
        **kernels.result(),
        **neighbourhoods.result(),
    }


def afresh(call: Callable[[FeatureSet, FeatureSet], Any]) -> Callable[[FeatureSet, FeatureSet], Any]:
    """Call with sets that remember nothing of an earlier call."""
    return lambda *both: call(*(FeatureSet(x.features, x.logits) for x in both))


# name -> what to call with two sets
CASES: dict[str, Callable[[FeatureSet, FeatureSet], Any]] = {
    "all/without": without,
    "all/with": lambda real, fake: score_images(real, fake, 0)[0],
    "fid/without": lambda real, fake: fid(Moments.of(real.features), Moments.of(fake.features)),
    "fid/with": with_interval,
}


def run(name: str, n: int, width: int) -> None:
    """Measure one case and print it as JSON."""
    call = afresh(CASES[name])
    call(*sets(200, 16))  # libraries loaded
    both = sets(n, width)
    cost, value = measure(lambda: call(*both), 3 if width < 1000 else 1)
    value = {key: float(figure) for key, figure in value.items()} if isinstance(value, dict) else float(value)
    print(json.dumps(cost | {"value": value, "samples": n, "width": width}))


def main() -> None:
    """Measure all cases and write them with the ratios of this run."""
    found = {
        f"{name} ({n}, {width})": alone(__file__, name, str(n), str(width)) for n, width in SIZES for name in CASES
    }
    with_them = {name: cost["cpu_seconds"] for name, cost in found.items() if "/with " in name}
    ratios = {
        name.replace("/with", ""): round(seconds / found[name.replace("/with", "/without")]["cpu_seconds"], 2)
        for name, seconds in with_them.items()
    }
    write(__file__, {"cases": found, "times_without": ratios})


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])) if len(sys.argv) > 1 else main()
