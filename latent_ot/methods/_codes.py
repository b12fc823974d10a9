"""A learned code per training image: an ordinary parameter, which torch's Adam moves as a whole at every step.

So do the public codes of this family (GLANN's ``optim.Adam(netZ.parameters())``): a row that the batch does not hold
has the gradient 0 and goes on by its momentum, while its second moment decays until the row is met again. One visit
thus moves a row by many times the step size, the more the rarer visits are; ``adam_travel`` says how far all of them.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from latent_ot.ranks import gather, size

CHUNK = 4096  # rows projected together: a copy of a whole large table costs more than the projection
LARGE = 2_000_000  # values in a table whose Adam costs a CPU a tenth of a step and more, benchmarks/speed/codes.py
STILL = 1e-9  # of a momentum, at which a row has come to rest


class CodeTable(nn.Module):
    """Codes (N, d), one parameter with a dense gradient.

    Args:
        codes: initial codes (N, d).
    """

    def __init__(self, codes: Tensor) -> None:
        super().__init__()
        self.codes = nn.Parameter(codes.clone())

    def forward(self, index: Tensor) -> Tensor:
        """Return a copy of the codes (B, d) of rows ``index`` (B,), a leaf with a gradient of its own."""
        return self.codes.detach()[index].requires_grad_()

    @torch.no_grad()
    def move(
        self,
        index: Tensor,
        gradient: Tensor,
        optimizer: torch.optim.Optimizer,
        project: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        """Take an optimizer's step with the gradient of a batch, which is 0 for all rows that it does not hold.

        The gradients of a row that the batch holds twice are summed. Several ranks call each with rows and gradients of
        its own share of the batch, each gradient that of the mean over the share; all tables then take the same step,
        that of one process with the whole batch.

        Args:
            index: rows (B,), int64.
            gradient: (B, d), of the mean loss over the batch.
            optimizer: that holds ``codes``.
            project: maps codes (rows, d) onto the set of valid codes; all rows that moved are mapped.
        """
        index, gradient = gather(index), gather(gradient) / size()
        if isinstance(optimizer, AdamInMotion):
            moved = optimizer.step(index=index, gradient=gradient)
            if project is not None:
                self.codes.index_copy_(0, moved, project(self.codes.index_select(0, moved)))
            return
        if self.codes.grad is None:
            self.codes.grad = torch.zeros_like(self.codes)
        self.codes.grad.index_add_(0, index, gradient)
        optimizer.step()
        self.codes.grad[index] = 0  # not of the whole table, which would cost as much as the step
        if project is not None:
            for rows in self.codes.split(CHUNK):
                rows.copy_(project(rows))


class AdamInMotion(torch.optim.Optimizer):
    """Adam over a whole table at the cost of the rows that move: those met lately, whose momentum is not spent.

    It is torch's Adam but for moves below 1e-9 of a visit's first; a row at rest is left alone, and its second moment
    decays for all steps at once when it is met again.

    Args:
        codes: the table (N, d), one parameter.
        lr: step size.
        betas: decay rates of the two moments.
        eps: denominator offset.
    """

    def __init__(self, codes: nn.Parameter, lr: float, betas: tuple[float, float], eps: float = 1e-8) -> None:
        super().__init__([codes], {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: None = None, *, index: Tensor, gradient: Tensor) -> Tensor:  # type: ignore[override]
        """Take the step whose gradient is ``gradient`` (B, d) at rows ``index`` (B,), else 0; return all moved rows."""
        (group,) = self.param_groups
        (codes,) = group["params"]
        (b1, b2), state = group["betas"], self.state[codes]
        if not state:
            moments = {name: torch.zeros_like(codes) for name in ("exp_avg", "exp_avg_sq")}
            state |= {"step": 0, "met": codes.new_full((len(codes),), -torch.inf), **moments}
        state["step"] = now = state["step"] + 1
        motion = np.ceil(np.log(STILL) / np.log(b1)) if b1 else 0
        decayed = (state["met"] + motion).clamp(0, now - 1)  # the step up to which a row's second moment is
        state["met"][index] = now
        rows = (state["met"] >= now - motion).nonzero()[:, 0]
        mean, square = (state[name].index_select(0, rows) for name in ("exp_avg", "exp_avg_sq"))  # [rows] is slow
        slope = torch.zeros_like(mean).index_add_(0, torch.searchsorted(rows, index), gradient)
        mean.lerp_(slope, 1 - b1)
        square.mul_(b2 ** (now - decayed[rows])[:, None]).addcmul_(slope, slope, value=1 - b2)
        state["exp_avg"].index_copy_(0, rows, mean)
        state["exp_avg_sq"].index_copy_(0, rows, square)
        root = square.div_(1 - b2**now).sqrt_().add_(group["eps"])
        codes.index_add_(0, rows, mean.div_(root), alpha=-group["lr"] / (1 - b1**now))
        return rows


def table_adam(table: CodeTable, lr: float, betas: tuple[float, float]) -> torch.optim.Optimizer:
    """Return Adam over all codes; of a large table on a CPU one that costs only the rows in motion."""
    if table.codes.device.type == "cpu" and table.codes.numel() > LARGE:
        return AdamInMotion(table.codes, lr, betas)
    return torch.optim.Adam([table.codes], lr=lr, betas=betas, fused=True)


def adam_travel(
    epochs: float, steps: float, betas: tuple[float, float], decay: Callable[[int], float], restart: bool = False
) -> float:
    """Return how far a coordinate of a table is from its start after ``epochs``, in units of Adam's step size.

    The root mean square over coordinates whose gradient at each visit is a fresh standard normal number (its scale does
    not matter to Adam), unprojected. A row is visited once an epoch, at a random one of its ``steps`` steps. The moves
    that follow from one visit add up to sqrt(1 - b2^t) g / sqrt(v), t steps after Adam's start, with v the mean of
    squared gradients that forgets by b2 a step; those of different visits are uncorrelated. For normal gradients

        E[g_0^2 / sum_i w_i g_i^2] = int_0^1 prod_{i>0} u / sqrt(u^2 + w_i (1 - u^2)) du,  w_0 = 1,

    with w_i = b2^(steps between the visits), averaged over the places of visits within their epochs. What the end of
    the training (or of an Adam) cuts off of its last visit's moves is not counted.

    Args:
        epochs: visits of each row, not necessarily whole.
        steps: of an epoch, at least 1.
        betas: Adam's.
        decay: epoch, from 0 -> factor on the step size.
        restart: whether each epoch has a new Adam.
    """
    b1, b2 = betas
    visits = max(1, int(np.ceil(epochs)))
    rate = -np.log(b2) * steps  # by which v forgets in an epoch
    apart = np.arange(1, visits)
    weights = (np.sinh(rate / 2) / (rate / 2)) ** 2 * np.exp(-rate * apart) * (not restart)
    nodes, measure = np.polynomial.legendre.leggauss(400)
    u = (1 + nodes) / 2
    logs = np.log(u) - np.log(u**2 + np.minimum(weights, 1)[:, None] * (1 - u**2)) / 2
    ratios = np.exp(np.vstack([np.zeros_like(u), logs * (not restart)]).cumsum(axis=0)) @ measure / 2
    later = 1 + b1 / (1 - b1)  # the steps over which a visit is spent, on average
    unmet = b2**later * (1 - np.exp(-rate)) / (steps * (1 - b2)) * np.exp(-rate * np.arange(visits) * (not restart))
    kept = b1 / b2**0.5  # of a move in the step after it
    spent = ((1 - b1) / (1 - kept)) ** 2 / (1 - b2)
    to_come = np.arange(1, steps + 1)
    cut = np.where(restart | (np.arange(visits) == visits - 1), np.mean((1 - kept**to_come) ** 2), 1)
    share = np.minimum(1, epochs - np.arange(visits))
    factors = np.array([decay(epoch) for epoch in range(visits)])
    return float(np.sqrt(spent * np.sum(share * factors**2 * cut * (1 - unmet) * ratios)))
