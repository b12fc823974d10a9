"""A learned code per training image, moved by a lazy Adam with moments and step counter of its own for every row.

A dense Adam over the table would go on moving rows that the batch does not hold, by their old momentum, and would
correct the bias of all moments by one common step counter. Here the rows of a batch are the only ones that change.
"""

from collections.abc import Callable

import torch
from torch import Tensor, distributed, nn


class CodeTable(nn.Module):
    """Codes (N, d) as buffers; nothing here is a parameter, so no optimizer or weight decay reaches them.

    Args:
        codes: initial codes (N, d).
        betas: decay rates of Adam's two moments.
        eps: Adam's denominator offset.
    """

    codes: Tensor
    mean: Tensor
    square: Tensor
    updates: Tensor

    def __init__(self, codes: Tensor, betas: tuple[float, float] = (0.5, 0.999), eps: float = 1e-8) -> None:
        super().__init__()
        self.betas, self.eps = betas, eps
        self.register_buffer("codes", codes.clone())
        self.register_buffer("mean", torch.zeros_like(codes))
        self.register_buffer("square", torch.zeros_like(codes))
        self.register_buffer("updates", torch.zeros(len(codes), dtype=torch.int64, device=codes.device))

    def forward(self, index: Tensor) -> Tensor:
        """Return a copy of the codes (B, d) of rows ``index`` (B,), with gradient."""
        return self.codes[index].requires_grad_()

    @torch.no_grad()
    def step(
        self, index: Tensor, gradient: Tensor, lr: float, project: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        """Move the rows of a batch by one Adam step.

        The gradients of a row that the batch holds twice are summed. Under several processes each calls with rows and
        gradients of its own share of the batch, all shares of one size and each gradient that of the mean over its
        share; all tables then take the same step, that of one process with the whole batch.

        Args:
            index: rows (B,), int64.
            gradient: (B, d), of the mean loss over the batch.
            lr: Adam's step size.
            project: maps the moved codes (rows, d) onto the set of valid codes.
        """
        rows, gradient = self._gather(index, gradient)
        mean, square = self.mean[rows], self.square[rows]
        updates = self.updates[rows] + 1
        mean.lerp_(gradient, 1 - self.betas[0])
        square.lerp_(gradient.square(), 1 - self.betas[1])
        mean_bias, square_bias = (1 - torch.pow(beta, updates.to(mean.dtype))[:, None] for beta in self.betas)
        moved = self.codes[rows] - lr * (mean / mean_bias) / ((square / square_bias).sqrt_() + self.eps)
        self.codes[rows] = moved if project is None else project(moved)
        self.mean[rows], self.square[rows], self.updates[rows] = mean, square, updates

    @torch.no_grad()
    def descend(
        self, index: Tensor, gradient: Tensor, lr: float, project: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        """Move the rows of a batch by plain gradient descent; arguments as for ``step``."""
        rows, gradient = self._gather(index, gradient)
        moved = self.codes[rows] - lr * gradient
        self.codes[rows] = moved if project is None else project(moved)
        self.updates[rows] += 1

    @staticmethod
    def _gather(index: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Return each row of the batch of all processes once, in order, and its summed gradient."""
        if distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1:
            world = distributed.get_world_size()
            indices = [torch.empty_like(index) for _ in range(world)]
            gradients = [torch.empty_like(gradient) for _ in range(world)]
            distributed.all_gather(indices, index.contiguous())
            distributed.all_gather(gradients, gradient.contiguous())
            index, gradient = torch.cat(indices), torch.cat(gradients) / world
        rows, place = index.unique(return_inverse=True)
        return rows, gradient.new_zeros(len(rows), gradient.shape[1]).index_add_(0, place, gradient)
