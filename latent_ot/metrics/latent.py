"""How good a latent sampler is, apart from the decoder: its codes against held-out codes and against training codes.

``code_w2`` asks whether the codes have the right distribution, ``code_precision`` and ``code_recall`` (those of
``metrics.prdc``, on codes) whether they lie where codes lie and whether they reach everywhere, and ``code_repeats``
whether they are more than the training codes given back. All four are free of the codes' scale and position.
"""

import numpy as np
from torch import Tensor

from latent_ot.errors import InputError
from latent_ot.metrics.base import Metric
from latent_ot.metrics.inputs import CHUNK, mean, rows
from latent_ot.metrics.prdc import prdc
from latent_ot.transport.assignment import assign

NEIGHBOURS = 5  # k of precision and recall
LEAST = NEIGHBOURS + 1  # codes of each kind
SAME = 1e-3  # of the usual distance between neighbouring training codes; what is nearer to one repeats it
ALIKE = 1e-4  # in code units, where all training codes are alike and there is no such distance
PROBES = 2000  # training codes whose nearest neighbours give that distance; its median needs no more


def score_codes(drawn: Tensor, held_out: Tensor, training: Tensor) -> dict[str, float]:
    """Return how drawn codes (n, d) compare with held-out ones (m, d) and with the training codes (N, d).

    - ``code_w2``: root mean squared distance under the exact assignment between the first min(n, m) codes of each, in
      units of the training codes' root mean squared distance from their mean. It is 0 or more and, like every such
      estimate, biased upwards by a small sample: compare equal sizes only. Memory: 8 min(n, m)^2 bytes.
    - ``code_recall``: share of held-out codes that are nearer to a drawn code than its fifth neighbour among the drawn
      ones; ``code_precision``: share of drawn codes, with the roles exchanged.
    - ``code_repeats``: share of drawn codes that repeat a training code, that is, lie nearer to one than a thousandth
      of the median distance from a training code to the nearest different one.

    Training codes that are all alike have no scale: then distances are in code units, and repeats within 1e-4 of them.

    Raises:
        InputError: no matrices of equal width, fewer than six drawn or held-out codes, no training codes, or values
            that are not finite.
    """
    drawn, held_out = (
        rows(codes, f"{name} codes", least=LEAST).cpu() for codes, name in ((drawn, "drawn"), (held_out, "held-out"))
    )
    training = rows(training, "training codes", least=1).cpu()
    widths = [codes.shape[1] for codes in (drawn, held_out, training)]
    if len(set(widths)) > 1 or not widths[0]:
        raise InputError(f"drawn, held-out and training codes: dimensions {widths}; allowed: equal, 1 or more")
    alike = bool((training == training[0]).all())
    centre = training[0].double() if alike else mean(training)
    squares = [(part.double() - centre).square().sum() for part in training.split(CHUNK)]
    scale = 1.0 if alike else float((sum(squares) / len(training)) ** 0.5)
    x, y, z = ((codes.double() - centre) / scale for codes in (drawn, held_out, training))
    shares = prdc(y, x, NEIGHBOURS)
    return {
        "code_w2": _wasserstein(x, y),
        "code_recall": shares["recall"],
        "code_precision": shares["precision"],
        "code_repeats": _repeats(x.numpy(), z.numpy()),
    }


def _wasserstein(x: Tensor, y: Tensor) -> float:
    """Return the 2-Wasserstein distance of the first min(n, m) points of x (n, d) and of y (m, d)."""
    size = min(len(x), len(y))
    x, y = x[:size], y[:size]
    return float((x - y[assign(x, y)]).square().sum(dim=1).mean().sqrt())


def _repeats(x: np.ndarray, training: np.ndarray) -> float:
    """Return the share of points x (n, d) that lie on a training code, by the measure of the neighbours' distances."""
    distinct = np.unique(training, axis=0)
    if len(distinct) == 1:
        return float((np.linalg.norm(x - distinct, axis=1) < ALIKE).mean())
    probes = distinct[:: -(-len(distinct) // PROBES)]
    usual = np.median(_nearest(probes, distinct).max(axis=1))  # of the two nearest, one is the probe itself
    return float((_nearest(x, distinct).min(axis=1) < SAME * usual).mean())


def _nearest(x: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the distances (n, 2) to the two nearest points, recomputed: those of a search by products are rounded."""
    from sklearn.neighbors import NearestNeighbors

    found = NearestNeighbors(n_neighbors=2).fit(points).kneighbors(x, return_distance=False)
    return np.linalg.norm(x[:, None] - points[found], axis=2)


class LatentCodes(Metric):
    """How good a latent sampler is."""

    version = 1
    quantities = {
        "code_w2": {"label": "code W2", "direction": "down", "digits": 3, "floor": "code_w2_floor"},
        "code_precision": {"label": "code precision", "direction": "up", "digits": 3, "floor": "code_precision_floor"},
        "code_recall": {"label": "code recall", "direction": "up", "digits": 3, "floor": "code_recall_floor"},
        "code_repeats": {"label": "repeated codes", "direction": "down", "digits": 3},
    }
    measures = "codes"
    compute = staticmethod(score_codes)
