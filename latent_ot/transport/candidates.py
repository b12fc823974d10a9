"""Exact transport between large clouds on candidate pairs, proved best by its dual potentials.

Kantorovich's dual of max sum 2 <x_i, y_j> m_ij over plans m: minimise sum p + sum q, each by its masses, subject to
p_i + q_j >= 2 <x_i, y_j> for all pairs. A plan on pairs that hold with equality is best, and p and q prove it. Few of
all pairs have to be known for that, so a linear program is solved on some, its potentials are tried on all, pairs that
exceed them are added, and so on until none does.

The first pairs are the likeliest of an entropic plan, from a few of Sinkhorn's steps of falling softness (Cuturi,
NeurIPS 2013). The linear program is solved by POT's network simplex on sparse costs, which gives the potentials, too.
Scores in single precision find what clearly exceeds them; the last word has double precision.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from latent_ot.transport.duals import MAX_PIVOTS

SOFTNESS = (0.1, 0.02)  # of Sinkhorn's steps, over the mean gap between a point and its nearest
NEAREST = 8  # pairs a point at first; later up to this many more a round, then twice, four and eight times as many
REACH = 30.0  # pairs stay that are no farther from tight than so many times the worst excess
MOST = 40  # pairs a point with which to give up; near clouds of 4,096 points in 64 dimensions have 8 to 15
ROUNDS = 20  # with which to give up; they take five to eight
ROWS = 128  # of a block of scores: two megabytes at 4,096 points
SINGLE, DOUBLE = 1e-6, 1e-13  # what rounding does to a pair, over the sizes of its terms, in either precision


class Proof(NamedTuple):
    """A plan, ``mass`` (k,) from points ``i`` to points ``j``, int64, and potentials float64 that prove it best."""

    i: np.ndarray
    j: np.ndarray
    mass: np.ndarray
    p: np.ndarray
    q: np.ndarray


class Cloud(NamedTuple):
    """Points (n, d), float64; their start potentials and their masses, integers, both float64 (n,)."""

    points: Tensor
    potential: Tensor
    mass: Tensor


def solve(source: Cloud, target: Cloud) -> Proof | None:
    """Return the plan of the greatest sum of 2 <x_i, y_j> m_ij between clouds of the same total mass, on one device.

    Of the start potentials, a_i + b_j >= 2 <x_i, y_j>, the closer to equality for likely pairs the better. All pairs
    have p_i + q_j >= 2 <x_i, y_j>, and those of the plan equality, to ``DOUBLE`` times the terms' sizes, or None is
    returned: after ``ROUNDS`` rounds, with more than ``MOST`` pairs a point, or where the simplex does not end.
    Memory: 4 bytes for each of all pairs.
    """
    (x, a, _), (y, b, _) = source, target
    x, m = 2 * x, len(y)
    scores = x.float() @ y.float().T
    softness, level = _sinkhorn(scores, source, target)
    # Equal scores are common; a little more, different for each pair, lets their points choose different partners.
    draws = softness * torch.rand(len(x) + m - 1, generator=torch.Generator().manual_seed(0)).to(x.device)
    extra = draws.unfold(0, m, 1)
    masses = source.mass.cpu().numpy(), target.mass.cpu().numpy()
    likely = zip(scores.split(ROWS), extra.split(ROWS), strict=True)
    nearest = torch.cat([(rows - level + more).topk(min(NEAREST, m)).indices for rows, more in likely])
    pairs = np.union1d((torch.arange(len(x), device=x.device)[:, None] * m + nearest).cpu().numpy(), _corner(*masses))
    p, q = start = a.cpu().numpy(), b.cpu().numpy()
    rough = True
    for r in range(ROUNDS):
        if len(pairs) > MOST * max(scores.shape):
            return None
        i, j = np.divmod(pairs, m)
        dots = _dots(x, y, i, j, scores if rough else None)
        found = _simplex(*masses, i, j, p[i] + q[j] - dots)
        if found is None:
            return None
        moved, mass, p, q = *found[:2], p - found[2], q - found[3]
        share, kind = (SINGLE, scores) if rough else (DOUBLE, x)
        terms_x, terms_y = (share * (np.abs(v) + size) for v, size in zip((p, q), start, strict=True))
        high, low = torch.from_numpy(p + terms_x).to(kind), torch.from_numpy(q + terms_y).to(kind)
        if rough:
            gains = (rows - low for rows in scores.split(ROWS))
        else:
            gains = (torch.addmm(low, rows, y.T, beta=-1) for rows in x.split(ROWS))
        over = _beyond(gains, high, extra, NEAREST << min(r, 3))
        slack, error, own = p[i] + q[j] - dots, terms_x[i] + terms_y[j], np.isin(pairs, moved, assume_unique=True)
        if not (rough or len(over)) and (np.abs(slack) <= error)[own].all():
            return Proof(*np.divmod(moved, m), mass, p, q)
        new = np.setdiff1d(over, pairs, assume_unique=True)
        rough = rough and len(new) > 0
        # What is far from tight now will be so again, and is found again if not. Fewer pairs are solved sooner, and
        # the simplex, whose rounding is that of the largest cost, solves smaller costs more finely.
        i, j = np.divmod(new, m)
        worst = max(error.max(), np.abs(slack[own]).max(), (_dots(x, y, i, j, scores) - p[i] - q[j]).max(initial=0.0))
        pairs = np.concatenate([pairs[slack <= REACH * worst], new])
    return None


def _sinkhorn(scores: Tensor, source: Cloud, target: Cloud) -> tuple[float, Tensor]:
    """Return the last softness, and the columns' potentials of the plan that has it, roughly."""
    a, b = source.potential.to(scores), target.potential.to(scores)
    gap = a[:ROWS] - (scores[:ROWS] - b).amax(1)
    unit = max(float(gap.mean()), 100 * SINGLE * float(a.mean() + b.mean()), 1e-30)
    from_x, to_y, q = source.mass.to(scores), target.mass.to(scores), b.clone()
    for eps in (share * unit for share in SOFTNESS):
        level, factor, mass = q / -eps, q.new_tensor(1 / eps), torch.zeros_like(q)
        for block, weight in zip(scores.split(ROWS), from_x.split(ROWS), strict=True):
            mass += weight @ torch.softmax(torch.addcmul(level, block, factor), 1)
        q += eps * (mass / to_y).clamp(min=1e-6).log()
    return SOFTNESS[-1] * unit, q


def _corner(from_x: np.ndarray, to_y: np.ndarray) -> np.ndarray:
    """Return the pairs of the plan that fills from the north-west corner: there is a plan on them."""
    ends = from_x.cumsum(), to_y.cumsum()
    i, j = (np.searchsorted(end, np.union1d(*ends) - 1, side="right") for end in ends)
    return i * len(to_y) + j


def _beyond(gains: Iterable[Tensor], p: Tensor, extra: Tensor, most: int) -> np.ndarray:
    """Return pairs, as i m + j, whose gain exceeds p_i; of an i that has more than ``most`` of them, the greatest.

    ``gains``: of all pairs, in blocks of rows. ``extra``, of all pairs, has a part in which are taken.
    """
    found, begin, m = [], 0, extra.shape[1]
    for gain in gains:
        i = torch.arange(begin, begin + len(gain), device=p.device)[:, None]
        high, more = p[begin : begin + len(gain), None], extra[begin : begin + len(gain)]
        begin += len(gain)
        rows = (gain.amax(1, keepdim=True) > high).nonzero()[:, 0]
        if len(rows) < len(gain):
            gain, more, high, i = gain[rows], more[rows], high[rows], i[rows]
        if len(rows):
            best, j = torch.where(gain > high, gain + more, -torch.inf).topk(min(most, m), dim=1)
            found.append((i * m + j)[best > -torch.inf])
    return torch.cat(found).cpu().numpy() if found else np.empty(0, dtype=np.int64)


def _dots(x: Tensor, y: Tensor, i: np.ndarray, j: np.ndarray, scores: Tensor | None) -> np.ndarray:
    """Return <x_i, y_j> of pairs, float64: as the ``scores`` have them, or with all digits."""
    at = tuple(torch.from_numpy(v).to(x.device) for v in (i, j))
    return ((x[at[0]] * y[at[1]]).sum(1) if scores is None else scores[at].double()).cpu().numpy()


def _simplex(
    from_x: np.ndarray, to_y: np.ndarray, i: np.ndarray, j: np.ndarray, costs: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
    """Return the cheapest plan on these pairs, its pairs and their masses, and the rows' and columns' potentials."""
    import ot
    from scipy.sparse import coo_matrix

    unit = float(np.abs(costs).max()) or 1.0
    problem = coo_matrix((costs / unit, (i, j)), shape=(len(from_x), len(to_y)))
    plan, log = ot.emd(from_x, to_y, problem, numItermax=MAX_PIVOTS, log=True, center_dual=False)
    if log["warning"] is not None:
        return None
    mass = np.rint(plan.data).astype(np.int64)  # with integer masses all flows of a basis are integers
    moved = plan.row.astype(np.int64) * len(to_y) + plan.col
    return moved[mass > 0], mass[mass > 0], unit * log["u"], unit * log["v"]
