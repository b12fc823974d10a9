"""Ranks: processes that train one stage together, a device each, so that a batch of B rows on N devices is one of B.

All ranks have the same weights and take the same steps. Rank r has rows r, r + N, r + 2N ... of a batch: whatever parts
a step cuts its batch into, N dividing them, a rank's rows are cut alike. Every rank draws the noise of the whole batch
from the one stream and keeps its ``own`` rows of it. Gradients are averaged before an optimizer steps
(``Stage.update``), and what couples the rows of a batch, such as its statistics, is computed over ``gather``.

A process is alone but within ``Rank.joined``, and then every function here returns what it is given.
"""

import contextlib
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

Rows = TypeVar("Rows", bound=Any)  # a tensor or an array


@dataclass(frozen=True)
class Rank:
    """The place of a process among those that train a stage. ``door``: where rank 0 listens for the others."""

    number: int = 0
    size: int = 1
    door: socket.socket | None = None

    @property
    def leads(self) -> bool:
        """Whether it is the one that writes files and tells of progress."""
        return self.number == 0

    @contextlib.contextmanager
    def joined(self, device: torch.device) -> Iterator[None]:
        """Work together with the other ranks within the block, each on its own device."""
        if self.size == 1:
            yield
            return
        assert self.door is not None
        loopback = [name for _, name in socket.if_nameindex() if name.startswith("lo")]  # all are on this machine
        os.environ.update({"GLOO_SOCKET_IFNAME": loopback[0]} if loopback else {})
        host, port = self.door.getsockname()
        given: dict[str, Any] = {"master_listen_fd": self.door.detach()} if self.leads else {}
        store = distributed.TCPStore(host, port, self.size, self.leads, **given)
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        if device.type == "cuda":
            torch.cuda.set_device(device)
        distributed.init_process_group(backend, store=store, rank=self.number, world_size=self.size)
        yield  # one that fails does not leave: the others would fail of that before it has told why
        total(torch.zeros(1))  # nobody leaves before all are ready
        distributed.destroy_process_group()


ALONE = Rank()


def size() -> int:
    """Return how many ranks work together here; 1: this process is alone."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def share(rows: Rows) -> Rows:
    """Return this rank's rows of those of all ranks, (N n, ...) -> (n, ...), where N divides them."""
    return rows if size() == 1 else rows[distributed.get_rank() :: size()]


def own(n: int, draw: Callable[[int], Tensor]) -> Tensor:
    """Return this rank's n rows of what ``draw(rows)`` draws for all ranks, each of which draws it whole."""
    return share(draw(n * size()))


def gather(rows: Tensor) -> Tensor:
    """Return the rows of all ranks (N n, ...), in their order in the batch, of those that each has (n, ...).

    It is differentiable any number of times: a row's gradient is that of the sum of what all ranks differentiate.
    """
    return rows if size() == 1 else _Gather.apply(rows)


@torch.no_grad()
def total(value: Tensor) -> Tensor:
    """Return the sum of a tensor over all ranks, without gradient."""
    if size() == 1:
        return value
    value = value.detach().clone()
    distributed.all_reduce(value)
    return value


def mean(value: Tensor) -> Tensor:
    """Return the mean of a tensor over all ranks, without gradient."""
    return value if size() == 1 else total(value) / size()


def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Give every parameter the mean of its gradients over all ranks; those that have none, have none on any."""
    if size() == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return
    together = mean(torch.cat([g.flatten() for g in gradients]))
    for gradient, found in zip(gradients, together.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(found.view_as(gradient))


def agree(tensors: Iterable[Tensor]) -> None:
    """Give all ranks the values that rank 0 has."""
    if size() > 1:
        for tensor in tensors:
            distributed.broadcast(tensor.data.view(torch.uint8) if tensor.dtype == torch.bool else tensor.data, 0)


def agreed(wish: bool) -> bool:
    """Return what rank 0 wishes."""
    if size() == 1:
        return wish
    told = torch.tensor(wish)
    agree([told])
    return bool(told)


class _Gather(torch.autograd.Function):
    """Rows of each rank -> those of all, in the batch's order."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(size())]
        distributed.all_gather(parts, rows.contiguous())
        return torch.stack(parts, dim=1).flatten(0, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _Reduce.apply(*gradients)


class _Reduce(torch.autograd.Function):
    """The adjoint of ``_Gather``: rows of all, on each rank -> the sums over ranks of its own."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        return share(total(rows.contiguous())).contiguous()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _Gather.apply(*gradients)
