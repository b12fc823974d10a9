"""SDOT: semi-discrete optimal transport from the uniform cube to the codes, extended between them.

AE-OT-GAN (Section 3.2) and AE-OT (An et al., ICLR 2020) draw codes so: w uniform on the unit cube, then T~(w), where T
is the optimal map onto the training codes and T~ its extension. The map is found by ``transport.semidiscrete``, our own
solver rather than the papers', the extension is one of ``transport.extension``. Training draws points of the cube
alone: no budget of images applies, and the rows of a batch are not looked at.

Above three dimensions, where mass centres cannot be triangulated, pairs of codes are mixed that pass AE-OT-GAN's test
of distance, whose eps is stated nowhere. Measured on mnist5k at budget ci, codes of ``ae``, seed 0, by the evaluator's
classes of 8,000 draws and the FID of 1,000:

    test, limit                              joined  of different classes  FID
    none, the training codes                     0                      –  0.15
    distance, median 1st neighbour's          39 %                  1.5 %  0.16
    distance, median 5th neighbour's, eps     63 %                  4.7 %  0.15
    distance, median 10th neighbour's         71 %                  7.2 %  0.17
    angle, 0.7 (the release)                  49 %                  1.0 %  0.15
    angle, median of those met, 1.2           98 %                   32 %  0.28

A held-out code and its nearest training code are of different classes in 5.1 %. So the paper's criterion, no mixture of
modes, admits the first two distances and the angle of 0.7, which however is one at this scale of the codes alone: at a
hundredth of it all pairs of planes meet at less. The default is the widest distance that is admitted. FID prefers
repeated training codes, and had no part in it. Draws lie from the nearest training code 0.16 times as far as held-out
codes do (0.36 by the median angle), with 0.93 (0.79) of the codes' total variance.
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
    join: extension.By = Field(
        "distance", description="test of codes that are joined: distance (AE-OT-GAN, 3.2), or angle (the AE-OT release)"
    )
    eps: float | None = Field(
        None, ge=0, description="largest distance of codes that are joined; none: median 5th neighbour's; silent"
    )
    threshold: float = Field(
        0.7, ge=0, description="largest angle in radians between planes that are joined by angle; AE-OT release, CelebA"
    )


class Sdot(LatentSampler):
    """Heights of the codes' planes, found step by step, and the extension that draws between the codes."""

    version = 2
    Config = SdotConfig
    closed_form = False
    maps = True
    needs = 2
    config: SdotConfig
    targets: Tensor
    heights: Tensor
    centres: Tensor
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
        if self.mode == "barycentric" and config.join != "distance":
            raise InputError(f"sdot: setting 'join' = '{config.join}' with mode 'barycentric'; allowed: distance")
        n = min(spec.count, config.max_targets or (EXACT_TARGETS if low else spec.count))
        self.schedule = Schedule(n, config.tol, config.max_points)
        kind = torch.float64 if low and config.tol < 0.1 else torch.float32  # see SemiDiscrete
        self.register_buffer("targets", torch.zeros(n, self.dim, dtype=kind))
        self.register_buffer("heights", torch.zeros(n, dtype=kind))
        self.register_buffer("centres", torch.zeros(n if self.mode != "pairs" else 0, self.dim, dtype=kind))
        for name in ("eps", "cell_error"):
            self.register_buffer(name, torch.zeros((), dtype=torch.float64))
        self.register_buffer("seen", torch.full((), torch.inf, dtype=torch.float64))
        self.register_buffer("empty_cells", torch.zeros((), dtype=torch.int64))
        for name, value in State.blank(n, kind).tensors().items():
            self.register_buffer(f"state_{name}", value)

    @classmethod
    def batches(cls, config: SdotConfig) -> dict[str, int]:
        """None that needs to be divided: devices share the points of the cube, however many."""
        return {}

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
        self.eps.fill_(extension.median_gap(self.targets) if config.eps is None else config.eps)

    def extend(self, w: Tensor, generator: torch.Generator) -> extension.Mixture:
        """Return T~ of points w (m, d) of the cube as mixtures of the targets."""
        z, h, config = self.targets, self.heights, self.config
        if self.mode == "barycentric":
            return self.interpolation(w)
        limit = float(self.eps) if config.join == "distance" else config.threshold
        if self.mode == "idw":
            return extension.idw(w, z, h, self.centres, limit, config.join)
        return extension.pairs(w, z, h, limit, generator, config.neighbours, config.mix, config.join)

    def mixtures(self, n: int, generator: torch.Generator) -> extension.Mixture:
        """Return what ``sample`` draws for the same generator, as mixtures of ``targets``."""
        return self.extend(self.source(n, generator), generator)

    def source(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw uniform points of the centred unit cube."""
        return draw(n, self.dim, generator, self.targets)

    def transport(self, w: Tensor) -> Tensor:
        """Return T~(w); where the extension chooses between pairs, rows of a batch always choose alike."""
        return self.extend(w, generator(self.spec.seed, "pairs")).of(self.targets).float()

    def _sample(self, n: int, generator: torch.Generator) -> Tensor:
        return self.mixtures(n, generator).of(self.targets).float()

    @torch.no_grad()
    def facts(self) -> dict[str, Any]:
        """Return how good the cells are, and what the extension joins.

        ``joined_share``: of draws that mix codes; the others are training codes. ``shift``: root mean squared distance
        of T~(w) from T(w) in units of eps, at least the Wasserstein-2 distance that AE-OT-GAN's Theorem 1 bounds by 1.
        ``eps``: in units of the codes' spread.
        """
        g = generator(self.spec.seed, "facts")
        mixture = self.mixtures(2000, g)
        moved = (mixture.of(self.targets) - self.targets[mixture.index[:, 0]]).square().sum(1).mean().sqrt()
        steps = int(self.state.steps)
        angle = {"threshold": self.config.threshold} if self.config.join == "angle" else {}
        return {
            "cell_error": float(self.cell_error),
            "cell_error_points": REPORT_POINTS,
            "cell_error_reached": float(self.cell_error) <= self.config.tol,
            "empty_cells": int(self.empty_cells),
            "sdot_iterations": steps,
            "sdot_points": steps * self.schedule.batch,
            "targets": len(self.targets),
            "extension": self.mode,
            "eps": float(self.eps) / spread(self.targets),
            **angle,
            "joined_share": 1 - float(mixture.single.double().mean()),
            **({"shift": float(moved / self.eps)} if self.eps else {}),
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
