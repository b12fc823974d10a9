"""SDOT: semi-discrete optimal transport from the uniform cube to the codes, extended between them.

AE-OT-GAN (Section 3.2) and AE-OT (An et al., ICLR 2020) draw codes so: w uniform on the unit cube, then T~(w), where T
is the optimal map onto the training codes and T~ its extension. The map is found by ``transport.semidiscrete``, our own
solver rather than the papers', the extension is one of ``transport.extension``. Training draws points of the cube
alone: no budget of images applies, and the rows of a batch are not looked at.
"""

from functools import cached_property
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from latent_ot.config import Config
from latent_ot.errors import InputError
from latent_ot.pictures.cells import Cells
from latent_ot.samplers.base import LatentSampler, spread
from latent_ot.seeding import generator
from latent_ot.stage import Batch, Spec
from latent_ot.transport import extension
from latent_ot.transport.cells import draw
from latent_ot.transport.semidiscrete import REPORT_POINTS, Schedule, SemiDiscrete, Solution, State

EXACT_DIM = 3  # up to here the mass centres can be triangulated
GLANCES = 16  # steps at the first look at the error, and then at every doubling, until checks begin
EXACT_TARGETS = 2000  # as many codes draw the plane well, and solve in seconds


class SdotConfig(Config):
    """Settings of the semi-discrete sampler."""

    tol: float = Field(0.1, gt=0, description="error to reach: debiased RMS over cells of (mass found / mass due - 1)")
    max_points: int | None = Field(
        None, ge=1, description="points of the cube after which to give up; none: 20 max(n, 1024) / tol^2 for n codes"
    )
    max_targets: int | None = Field(
        None, ge=2, description="codes that are transported to, a random subset; none: 2,000 up to d = 3, else all"
    )
    mode: Literal["barycentric", "pairs", "idw"] | None = Field(
        None, description="extension; none: barycentric (AE-OT-GAN) up to d = 3, pairs (the AE-OT release) above"
    )
    neighbours: int = Field(20, ge=1, description="cells that a pair is sought in, own one included; AE-OT release")
    mix: float | None = Field(
        0.75, ge=0, le=1, description="share of a pair's second code (AE-OT release, CelebA); none: uniform on [0, 1]"
    )
    threshold: float | None = Field(
        None, ge=0, description="largest angle in radians between planes that are joined; none: by `quantile`"
    )
    quantile: float = Field(0.5, ge=0, le=1, description="of the angles between neighbouring planes, for the threshold")
    eps: float | None = Field(
        None, ge=0, description="largest distance of codes that are joined (barycentric); none: median 5th neighbour's"
    )


class Sdot(LatentSampler):
    """Heights of the codes' planes, found step by step, and the extension that draws between the codes."""

    version = 2
    Config = SdotConfig
    closed_form = False
    maps = True
    config: SdotConfig
    targets: Tensor
    heights: Tensor
    centres: Tensor
    threshold: Tensor
    eps: Tensor
    seen: Tensor
    cell_error: Tensor
    empty_cells: Tensor

    def __init__(self, config: SdotConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        low = self.dim <= EXACT_DIM
        self.mode = config.mode or ("barycentric" if low else "pairs")
        if self.mode == "barycentric" and not low:
            raise InputError(f"sdot: setting 'mode' = 'barycentric' in {self.dim} dimensions; allowed: pairs, idw")
        n = min(spec.count, config.max_targets or (EXACT_TARGETS if low else spec.count))
        self.schedule = Schedule(n, config.tol, config.max_points)
        kind = torch.float64 if low and config.tol < 0.1 else torch.float32  # see SemiDiscrete
        self.register_buffer("targets", torch.zeros(n, self.dim, dtype=kind))
        self.register_buffer("heights", torch.zeros(n, dtype=kind))
        self.register_buffer("centres", torch.zeros(n if self.mode != "pairs" else 0, self.dim, dtype=kind))
        for name in ("threshold", "eps", "cell_error"):
            self.register_buffer(name, torch.zeros((), dtype=torch.float64))
        self.register_buffer("seen", torch.full((), torch.inf, dtype=torch.float64))
        self.register_buffer("empty_cells", torch.zeros((), dtype=torch.int64))
        for name, value in State.blank(n, kind).tensors().items():
            self.register_buffer(f"state_{name}", value)

    @property
    def rows_per_step(self) -> int:
        """One: the fewest that a step can be given, since it uses none."""
        return 1

    @property
    def total_steps(self) -> int:
        """Steps after which the solver gives up."""
        return self.schedule.max_steps

    @property
    def finished(self) -> bool:
        """Whether a check met the tolerance."""
        return bool(self.state_done)

    @property
    def state(self) -> State:
        """The solver's state, as it lies in the buffers."""
        return State(**{name: getattr(self, f"state_{name}") for name in State.names()})

    @state.setter
    def state(self, state: State) -> None:
        for name, value in state.tensors().items():
            getattr(self, f"state_{name}").copy_(value)

    @cached_property
    def problem(self) -> SemiDiscrete:
        """The problem that the targets pose."""
        return SemiDiscrete(self.targets, self.config.tol, self.config.max_points)

    @cached_property
    def interpolation(self) -> extension.Barycentric:
        """The triangulation of the mass centres."""
        return extension.Barycentric(self.targets, self.heights, self.centres, float(self.eps))

    def _fit(self, codes: Tensor) -> None:
        chosen = torch.randperm(len(codes), generator=generator(self.spec.seed, "targets"))[: len(self.targets)]
        self.targets.copy_(codes[chosen.sort().values.to(codes.device)])
        self.state = self.problem.start()

    def configure_optimizers(self) -> None:
        """None: the solver moves the heights itself."""

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One step of the solver; once it is done, judge the heights: go on if they fail, else keep them."""
        self.state = state = self.problem.step(self.state, self.generator)
        self._look(state)
        last = self.step + 1 >= self.total_steps
        if last or self.finished:
            solution, self.state = self.problem.conclude(state, generator(self.spec.seed, "report", self.step))
            if last or self.finished:
                self._keep(solution)

    def _look(self, state: State) -> None:
        """Observe the held-out error: that of the last check, before the first one that of the last glance."""
        steps = self.step + 1
        checked = bool(state.best_error.isfinite())
        if not checked and steps >= GLANCES and not steps & (steps - 1):
            self.seen.fill_(self.problem.glance(state, generator(self.spec.seed, "glance", steps)))
        error = state.best_error if checked else self.seen
        self.observe(**({"error": error} if bool(error.isfinite()) else {}), softness=state.eps)

    @torch.no_grad()
    def _keep(self, solution: Solution) -> None:
        config = self.config
        self.heights.copy_(solution.heights)
        self.centres.copy_(solution.centres[: len(self.centres)])
        self.cell_error.fill_(solution.error)
        self.empty_cells.fill_(solution.empty_cells)
        if self.mode == "barycentric":
            self.eps.fill_(extension.median_gap(self.targets) if config.eps is None else config.eps)
        elif config.threshold is None:
            g = generator(self.spec.seed, "angles")
            q = extension.angle_quantile(self.targets, self.heights, g, config.quantile, config.neighbours)
            self.threshold.fill_(q)
        else:
            self.threshold.fill_(config.threshold)

    def extend(self, w: Tensor, generator: torch.Generator) -> extension.Mixture:
        """Return T~ of points w (m, d) of the cube as mixtures of the targets."""
        z, h, threshold = self.targets, self.heights, float(self.threshold)
        if self.mode == "barycentric":
            return self.interpolation(w)
        if self.mode == "idw":
            return extension.idw(w, z, h, self.centres, threshold)
        return extension.pairs(w, z, h, threshold, generator, self.config.neighbours, self.config.mix)

    def source(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw uniform points of the centred unit cube."""
        return draw(n, self.dim, generator, self.targets)

    def transport(self, w: Tensor) -> Tensor:
        """Return T~(w); where the extension chooses between pairs, rows of a batch always choose alike."""
        return self.extend(w, generator(self.spec.seed, "pairs")).of(self.targets).float()

    def _sample(self, n: int, generator: torch.Generator) -> Tensor:
        return self.extend(self.source(n, generator), generator).of(self.targets).float()

    @torch.no_grad()
    def facts(self) -> dict[str, Any]:
        """How good the cells are, what the extension joins, and how much of what is drawn is merely training codes.

        ``eps``: in units of the codes' spread.
        """
        g = generator(self.spec.seed, "facts")
        alone = self.extend(draw(2000, self.dim, g, self.targets), g).single
        steps = int(self.state.steps)
        width = (
            {"eps": float(self.eps) / spread(self.targets)}
            if self.mode == "barycentric"
            else {"threshold": float(self.threshold)}
        )
        return {
            "cell_error": float(self.cell_error),
            "cell_error_points": REPORT_POINTS,
            "cell_error_reached": float(self.cell_error) <= self.config.tol,
            "empty_cells": int(self.empty_cells),
            "sdot_iterations": steps,
            "sdot_points": steps * self.schedule.batch,
            "targets": len(self.targets),
            "extension": self.mode,
            **width,
            "training_code_share": float(alone.double().mean()),
        }

    @torch.no_grad()
    def plane(self, seed: int) -> Cells | None:
        """Return cells, codes and extension, for 2-D codes; None in other dimensions."""
        if self.dim != 2:
            return None
        g = generator(seed, "picture")
        w = draw(4000, 2, g, self.targets)
        drawn = self.extend(w, g).of(self.targets)
        return Cells(*(x.double().cpu().numpy() for x in (self.targets, self.heights, w, drawn)))
