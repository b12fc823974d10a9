"""What scoring by ImageNet's network takes: `OMP_NUM_THREADS=1 python benchmarks/speed/evaluators.py`, a minute.

Milliseconds of a processor's thread for each image, with channels last, as the evaluator has them, and first; and the
memory of KID and of precision, recall, density and coverage at 50,000 samples, beside the features.
The latter visits a few tiles of each kind: all of its memory is there by then, and the others are like them.
"""

import json
import sys
from typing import Any

import torch
from timing import alone, measure, write

from latent_ot.metrics.evaluators.imagenet import ImageNetLite, network
from latent_ot.metrics.kid import Kernels
from latent_ot.metrics.pairwise import Features, Side
from latent_ot.metrics.prdc import Neighbourhoods

IMAGES, SAMPLES, WIDTH, TILES = 24, 50_000, 1280, 3


def features(name: str, layout: str) -> dict[str, Any]:
    """Measure the features of 64 px images."""
    evaluator = ImageNetLite(name)
    if layout == "channels first":
        evaluator.net = network(name)[0]
        bring = torch.Tensor.contiguous
        torch.Tensor.contiguous = lambda x, **_: bring(x)  # type: ignore[method-assign]
    images = torch.randint(0, 256, (IMAGES, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    evaluator(images)
    cost, _ = measure(lambda: evaluator(images), 3)
    return {"cpu_ms_an_image": round(1000 * cost["cpu_seconds"] / IMAGES, 1), "images": IMAGES}


def pairs() -> dict[str, Any]:
    """Measure the memory of all metrics of pairs."""
    g = torch.Generator().manual_seed(0)
    both = Features(*(torch.rand(SAMPLES, WIDTH, generator=g) for _ in range(2)))

    def visit(features: Features) -> None:
        visitors = Kernels(features), Neighbourhoods(features)
        sides: tuple[tuple[Side, Side], ...] = (("real", "real"), ("fake", "fake"), ("real", "fake"))
        for left, right in sides:
            for _, tile in zip(range(TILES), features.tiles(left, right), strict=False):
                for visitor in visitors:
                    visitor.visit(tile)

    visit(Features(*(torch.rand(100, WIDTH, generator=g) for _ in range(2))))  # libraries are loaded
    cost, _ = measure(lambda: visit(both), 1)
    held = 2 * SAMPLES * WIDTH * 4 / 1e6
    return {"memory_mb": cost["memory_mb"], "features_mb": round(held), "samples": SAMPLES, "width": WIDTH}


CASES = {
    "channels last": lambda: features("imagenet_lite0", "channels last"),
    "channels first": lambda: features("imagenet_lite0", "channels first"),
    "pairs": pairs,
}


def main() -> None:
    """Measure all cases and write them."""
    write(__file__, {"cases": {name: alone(__file__, name) for name in CASES}})


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(CASES[sys.argv[1]]()))
    else:
        main()
