"""The border where the suite calls a method or a latent sampler, its own or a user's: what comes back is looked at.

Always on, since a look costs nothing beside the network that was asked. What breaks a rule is one line that names the
file and the rule (``ContractError``).
"""

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latent_ot.discovery import broken
from latent_ot.methods.base import Method, Pair
from latent_ot.samplers.base import LatentSampler
from latent_ot.stage import Stage

SLACK = 1 / 510  # half a grey level: what lies outside [0, 1] by less is rounded to black or white anyway


def sample(model: Method | Pair, n: int, generator: torch.Generator) -> Tensor:
    """Return ``model.sample(n, generator)``, float (n, C, H, W) in [0, 1] or points (n, d).

    Raises:
        ContractError: for anything else, or draws that come from elsewhere than the generator.
    """
    maker = model.representation if isinstance(model, Pair) else model
    drawer = model.latent if isinstance(model, Pair) else model
    with _drawing(drawer, "sample", generator):
        return examples(maker, "sample", model.sample(n, generator), n)


def sample_latent(model: Method | Pair, n: int, generator: torch.Generator) -> Tensor:
    """Return ``model.sample_latent(n, generator)``, float (n, d). Raises ContractError for anything else."""
    drawer = model.latent if isinstance(model, Pair) else model
    with _drawing(drawer, "sample", generator):
        return _codes(drawer, "sample_latent" if drawer is model else "sample", model.sample_latent(n, generator), n)


def decode(model: Method | Pair, codes: Tensor) -> Tensor:
    """Return ``model.decode(codes)``, finite floats (n, C, H, W) or (n, d). Raises ContractError for anything else."""
    maker = model.representation if isinstance(model, Pair) else model
    return examples(maker, "decode", model.decode(codes), len(codes), anywhere=True)


def encode(model: Method | Pair, x: Tensor) -> Tensor:
    """Return ``model.encode(x)``, float (n, d). Raises ContractError for anything else."""
    maker = model.representation if isinstance(model, Pair) else model
    return _codes(maker, "encode", model.encode(x), len(x))


def training_codes(method: Method, images: Tensor) -> Tensor:
    """Return ``method.codes(images)``, float (N, d). Raises ContractError for anything else."""
    dim = getattr(method, "latent_dim", None)
    if not isinstance(dim, int):
        raise broken(type(method), f"latent_dim = {dim!r}; allowed: the length of its codes, set in __init__")
    return _codes(method, "codes", method.codes(images), len(images), dim)


def drawn_codes(sampler: LatentSampler, n: int, generator: torch.Generator) -> Tensor:
    """Return ``sampler.sample(n, generator)``, float (n, d). Raises ContractError for anything else."""
    with _drawing(sampler, "sample", generator):
        return _codes(sampler, "sample", sampler.sample(n, generator), n, sampler.dim)


def examples(maker: Stage, what: str, made: Any, n: int, anywhere: bool = False) -> Tensor:
    """Return what a maker made, once it is n examples of its shape: finite and, unless ``anywhere``, in [0, 1]."""
    shape = tuple(maker.spec.shape)
    _tensor(maker, what, made, (n, *shape), "images" if len(shape) == 3 else "points")
    low, high = (float(value) for value in made.detach().aminmax())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise broken(type(maker), f"{what} returns values that are not finite; allowed: finite numbers")
    if not anywhere and len(shape) == 3 and not (low >= -SLACK and high <= 1 + SLACK):
        raise broken(type(maker), f"{what} returns values from {low:.4g} to {high:.4g}; allowed: images in [0, 1]")
    return made


def _codes(maker: Stage, what: str, made: Any, n: int, dim: int | None = None) -> Tensor:
    width = made.shape[-1] if dim is None and isinstance(made, Tensor) and made.ndim else dim
    _tensor(maker, what, made, (n, width), "codes")
    return made


def _tensor(maker: Stage, what: str, made: Any, shape: tuple[int | None, ...], of: str) -> None:
    if not isinstance(made, Tensor) or not made.is_floating_point():
        kind = f"{made.dtype}" if isinstance(made, Tensor) else type(made).__name__
        raise broken(type(maker), f"{what} returns {kind}; allowed: a tensor of floats, {of} {shape}")
    if tuple(made.shape) != shape:
        raise broken(type(maker), f"{what} returns {tuple(made.shape)}; allowed: {of} {shape}")


def _state() -> tuple[Any, ...]:
    """Return the states of the generators that everybody shares."""
    numpys: Any = np.random.get_state()
    return torch.get_rng_state().numpy().tobytes(), random.getstate(), numpys[1].tobytes(), numpys[2]


@contextlib.contextmanager
def _drawing(maker: Stage, what: str, generator: torch.Generator) -> Iterator[None]:
    """See that all draws come from the generator.

    Raises:
        ContractError: if it was not drawn from, or one that everybody shares was.
    """
    before, shared = generator.get_state(), _state()
    yield
    if _state() != shared:
        raise broken(type(maker), f"{what} draws from a shared generator; allowed: all draws from the one it is given")
    if torch.equal(generator.get_state(), before):
        raise broken(type(maker), f"{what} ignores its generator; allowed: all draws from the one it is given")


class Steps:
    """Counts what the optimizers of a training really do, beside what the stage says of it."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.taken, self.told = stage, 0, 0
        if isinstance(stage, Method) and not any(p.requires_grad for p in stage.parameters()):
            raise broken(
                type(stage), "it trains by steps and has no parameters; allowed: some, or closed_form = True and fit"
            )

    def watch(self, optimizers: list[torch.optim.Optimizer]) -> None:
        """Count from now on, after a checkpoint was taken up."""
        self.told = sum(self.stage.updates.values())
        tables = {id(p) for name in self.stage.per_image for p in self.stage.get_submodule(name).parameters()}
        for optimizer in optimizers:  # a table of codes is no network: its steps are not updates
            if not tables.issuperset(id(p) for group in optimizer.param_groups for p in group["params"]):
                optimizer.register_step_post_hook(self._count)

    def _count(self, *_: Any) -> None:
        self.taken += 1

    def check_observed(self) -> None:
        """Look at what the step just made observed. Raises ContractError unless it is a number or more."""
        stage = self.stage
        for name, value in stage.observed.items():
            if not isinstance(value, int | float) and not (isinstance(value, Tensor) and value.numel() == 1):
                raise broken(type(stage), f"observe({name}=...) is given {type(value).__name__}; allowed: one number")
        if not stage.observed:
            raise broken(type(stage), "training_step observes nothing; allowed: self.observe(loss=loss), say")

    def check(self) -> None:
        """Look at what optimizers did until now.

        Raises:
            ContractError: if none stepped, or one did past the counter.
        """
        stage = self.stage
        told = sum(stage.updates.values()) - self.told
        if isinstance(stage, Method) and not (told or self.taken):
            raise broken(type(stage), "training_step steps no optimizer; allowed: self.update(NAME, optimizer)")
        if told != self.taken:
            what = f"optimizers made {self.taken} steps and self.update counted {told}"
            raise broken(type(stage), f"{what}; allowed: every step through self.update(NAME, optimizer)")
