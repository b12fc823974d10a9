"""How far a latent sampler's draws lie from the training codes, against how far held-out codes lie from them."""

import torch
from torch import Tensor

from latent_ot.errors import InputError
from latent_ot.metrics.base import Metric
from latent_ot.metrics.estimate import by_influence
from latent_ot.metrics.inputs import rows

AT_ONCE = 1 << 24  # distances held in float64 at a time


def code_distance(drawn: Tensor, held_out: Tensor, training: Tensor) -> dict[str, float]:
    """Return the mean distance of drawn codes (n, d) from the nearest of (N, d), over that of held-out codes (m, d).

    0: the training codes given back; 1: as far from them as new data are. It is free of the codes' scale and position.
    Nothing is returned where all held-out codes are training codes, too, since there is no such measure then.

    Raises:
        InputError: no matrices of equal width, no codes, or values that are not finite.
    """
    named = {"drawn": drawn, "held-out": held_out, "training": training}
    x, y, z = (rows(codes, f"{name} codes", least=1).cpu().double() for name, codes in named.items())
    widths = [codes.shape[1] for codes in (x, y, z)]
    if len(set(widths)) > 1:
        raise InputError(f"drawn, held-out and training codes: dimensions {widths}; allowed: equal")
    here, there = (_nearest(codes, z) for codes in (x, y))
    usual = float(there.mean())
    if not usual:
        return {}
    ratio = float(here.mean()) / usual
    return {"code_distance": by_influence(ratio, here / usual, there * ratio / usual)}


def _nearest(x: Tensor, training: Tensor) -> Tensor:
    """Return the distances (n,) of points x (n, d) to the nearest training code, by exact differences."""
    parts = x.split(max(1, AT_ONCE // len(training)))
    exact = "donot_use_mm_for_euclid_dist"
    return torch.cat([torch.cdist(part, training, compute_mode=exact).amin(1) for part in parts])


class CodeDistance(Metric):
    """How far draws are from repeating the training codes."""

    version = 1
    quantities = {"code_distance": {"label": "code distance", "direction": "none", "digits": 3}}
    measures = "codes"
    compute = staticmethod(code_distance)
