"""What the figures of a latent sampler's codes (``metrics.latent``) are of real codes: training against held-out ones.

A sample differs from another one of the same distribution, and training codes of a representation may differ from its
held-out ones. Drawn codes can be expected to reach what as many training codes do, and nothing is gained past that:
codes that are shrunk towards their mean are nearer to held-out codes than real ones, and more precise.
"""

import torch
from torch import Tensor

from latent_ot.metrics.base import Metric
from latent_ot.metrics.latent import score_codes


def code_floor(drawn: Tensor, held_out: Tensor, training: Tensor) -> dict[str, float]:
    """Return ``score_codes`` of as many training codes (N, d) as were drawn (n, d), evenly spread over their order.

    Nothing where there are fewer: figures of sets of other sizes have another bias.

    Raises:
        InputError: see ``score_codes``.
    """
    if len(training) < len(drawn):
        return {}
    places = torch.linspace(0, len(training) - 1, len(drawn), dtype=torch.float64).round().long()
    found = score_codes(training[places], held_out, training)
    return {f"{key}_floor": found[key] for key in ("code_w2", "code_precision", "code_recall")}


class CodeFloor(Metric):
    """Floors of the figures of codes."""

    version = 1
    quantities = {
        "code_w2_floor": {"label": "code W2 of training codes", "direction": "none", "digits": 3},
        "code_precision_floor": {"label": "code precision of training codes", "direction": "none", "digits": 3},
        "code_recall_floor": {"label": "code recall of training codes", "direction": "none", "digits": 3},
    }
    measures = "codes"
    compute = staticmethod(code_floor)
