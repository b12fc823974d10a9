"""Semi-discrete optimal transport from the uniform law on the centred unit cube to n codes of equal mass.

The Brenier potential is u_h(w) = max_i(<w, z_i> + h_i); its cell W_i, where plane i is the largest, must have mass 1/n.
The heights h minimise the convex energy E(h) = E u_h(w) - mean(h), whose gradient is (mass of W_i) - 1/n (Lei et al.,
"A Geometric View of Optimal Transportation and Generative Model"; AE-OT-GAN, Section 3.2).

The way there is our own. (1) Start where every plane would win equally often if its scores were Gaussian. (2) Soft
cells of falling softness eps, each height moved by a diagonal Newton step: H_ii = E[s(1 - s)] / eps is the diagonal of
a graph Laplacian, so the preconditioned Hessian has eigenvalues in [0, 2] and unit steps are stable whatever the scale
of the codes. (3) Once cells are nearly hard, hard cells with that preconditioner frozen, steps ~ k^-1/2 and averaged
iterates: what remains is the error of counting the points drawn, about sqrt(n / points).
"""

import math
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from latent_ot.errors import InputError
from latent_ot.seeding import generator as seeded
from latent_ot.transport.cells import Cells

REPORT_POINTS = 1_000_000  # fresh points behind every reported error
_EPS_START = 0.3  # first softness, in units of the spread of <w, z>
_FOLD = 5  # points per code while eps falls by a factor e
_OVERLAP_END = 0.5  # cells are hard enough once E sum_i s_i (1 - s_i) is below this
_RECHECK = (1.1, 1.5)  # least and most growth of the hard phase between two checks


@dataclass(frozen=True)
class Schedule:
    """How n codes are solved to an error ``tol`` (debiased RMS of n v_i - 1): counted in points, fixed beforehand.

    ``max_points``: training points after which to give up; None is 20 max(n, 1024) / tol^2.

    Raises:
        InputError: for a tol or max_points out of range.
    """

    n: int
    tol: float = 0.1
    max_points: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.tol < math.inf:
            raise InputError(f"tol: {self.tol}; allowed: a finite number above 0")
        if self.max_points is not None and self.max_points < 1:
            raise InputError(f"max_points: {self.max_points}; allowed: at least 1")

    @property
    def work(self) -> int:
        """The unit that points are counted in: fewer than 1,024 codes are cheap enough to be treated as so many."""
        return max(self.n, 1024)

    @property
    def batch(self) -> int:
        """Points a step, between n/8 and n/4 where n allows it: enough for fast products, few enough for many steps."""
        return min(4096, max(256, 2 ** int(math.log2(self.work / 4))))

    @property
    def rate(self) -> float:
        """Share of a Newton step that a batch of this size supports."""
        return min(1.0, 2 * self.batch / self.n)

    @property
    def cooling(self) -> float:
        """Factor on eps from one soft step to the next."""
        return math.exp(-self.batch / (_FOLD * self.work))

    @property
    def first_check(self) -> int:
        """Hard steps before the first check: counting noise needs n / tol^2 points, the average a little more."""
        return max(100, math.ceil(1.3 * self.n / self.tol**2 / self.batch))

    @property
    def check_points(self) -> int:
        """Points of a check: they tell error^2 to a tenth of tol^2 (one standard error); at most those of a report."""
        return min(REPORT_POINTS, 2 * math.ceil(10 * math.sqrt(self.n) / self.tol**2))

    @property
    def max_steps(self) -> int:
        """Steps after which to give up."""
        return max(1, math.ceil((self.max_points or 20 * self.work / self.tol**2) / self.batch))


@dataclass
class State:
    """Everything a step reads and writes; all tensors have shapes fixed by n, so it can live in buffers.

    ``heights``, ``average``, ``curvature``, ``best``: (n,), over the distinct codes in sorted order, zero past them.
    ``eps``: softness. ``steps``, ``hard``: steps made, and those with hard cells. ``check``: hard steps at the next
    check. ``best_error``: of ``best`` at its check. ``done``: the tolerance was met.
    """

    heights: Tensor
    average: Tensor
    curvature: Tensor
    best: Tensor
    eps: Tensor
    steps: Tensor
    hard: Tensor
    check: Tensor
    best_error: Tensor
    done: Tensor

    @classmethod
    def blank(cls, n: int, dtype: torch.dtype = torch.float32) -> "State":
        """Return the state of n codes before the start."""
        rows = {name: torch.zeros(n, dtype=dtype) for name in ("heights", "average", "curvature", "best")}
        counts = {name: torch.zeros((), dtype=torch.int64) for name in ("steps", "hard", "check")}
        eps, worst = torch.zeros((), dtype=torch.float64), torch.full((), math.inf, dtype=torch.float64)
        return cls(**rows, **counts, eps=eps, best_error=worst, done=torch.zeros((), dtype=torch.bool))

    @classmethod
    def names(cls) -> list[str]:
        """Return the fields' names."""
        return [field.name for field in fields(cls)]

    def tensors(self) -> dict[str, Tensor]:
        """Return the fields by name."""
        return {name: getattr(self, name) for name in self.names()}


@dataclass(frozen=True)
class Solution:
    """Heights (n,) with sum zero, the cells' mass centres (n, d), NaN where a cell was not hit, and how good they are.

    ``error``: debiased RMS over codes of n v_i - 1 on 10^6 fresh points. ``empty_cells``: how many none of those hit.
    ``iterations``, ``points``: steps made and training points drawn. ``converged``: error <= tolerance.
    """

    heights: Tensor
    centres: Tensor
    error: float
    empty_cells: int
    iterations: int
    points: int
    converged: bool


class SemiDiscrete:
    """One problem, as a step function on a ``State``; ``solve`` loops it, and so does what checkpoints between steps.

    Args:
        codes: (n, d), finite, at least two of them distinct. Equal codes share one cell of their joint mass. All is
            computed in their dtype: errors below 0.1 in up to three dimensions need float64, because scores of close
            neighbours then differ by less than float32 resolves.
        tol: error to reach.
        max_points: see ``Schedule``.

    Raises:
        InputError: for codes that are not (n, d), not finite or all equal, and for a tol or max_points out of range.
    """

    def __init__(self, codes: Tensor, tol: float = 0.1, max_points: int | None = None) -> None:
        if codes.ndim != 2 or not codes.is_floating_point():
            raise InputError(f"codes: {codes.dtype} of shape {tuple(codes.shape)}; allowed: floating point (n, d)")
        if bad := int((~torch.isfinite(codes).all(dim=1)).sum()):
            raise InputError(f"codes: {bad} of {len(codes)} rows hold NaN or infinity; allowed: finite values")
        distinct, self.owner, copies = torch.unique(codes, dim=0, return_inverse=True, return_counts=True)
        if len(distinct) < 2:
            raise InputError(f"codes: {len(codes)} rows, all equal; allowed: at least two distinct codes")
        self.schedule = Schedule(len(codes), tol, max_points)
        self.n, self.distinct = len(codes), len(distinct)
        self.mass = copies.to(codes.dtype) / self.n
        self.cells = Cells(distinct)
        self.norms = (distinct - codes.mean(0)).norm(dim=1)
        self.spread = float((self.mass @ self.norms.square() / 12).sqrt())  # of <w, z> over the codes

    def start(self) -> State:
        """Return the first state: as if each <w, z_i> were Gaussian, h_i = -q |z_i| / sqrt 12, q = Phi^-1(1 - 1/n).

        Then every plane passes a common level with the same chance 1/n, so far codes do not win everywhere.
        """
        q = math.sqrt(2) * float(torch.erfinv(torch.tensor(1 - 2 / self.n, dtype=torch.float64)))
        h = self._full(self._centred(-q / math.sqrt(12) * self.norms))
        state = State.blank(self.n, h.dtype)
        state = replace(state, **{name: value.to(h.device) for name, value in state.tensors().items()})
        eps, check = state.eps + _EPS_START * self.spread, state.check + self.schedule.first_check
        return replace(state, heights=h, average=h, best=h, eps=eps, check=check)

    @torch.no_grad()
    def step(self, state: State, generator: torch.Generator) -> State:
        """Make one step. A check that is due comes before the update, on fresh points; a ``done`` state stays."""
        if bool(state.done):
            return state
        hard, last = int(state.hard), int(state.steps) + 1 >= self.schedule.max_steps
        if last or hard >= int(state.check):
            state = self._checked(state, generator)
            if last or bool(state.done):
                return replace(state, steps=state.steps + last)
        state = self._hard_step(state, generator) if hard or self._sharp(state) else self._soft_step(state, generator)
        return replace(state, steps=state.steps + 1)

    def heights(self, state: State) -> Tensor:
        """Return the best checked heights (n,) in the order of the codes, with sum zero."""
        h = state.best[: self.distinct].double()[self.owner]
        return (h - h.mean()).to(state.best.dtype)

    @torch.no_grad()
    def glance(self, state: State, generator: torch.Generator) -> float:
        """Return the error of the heights so far on a fresh point a code, 2^14 at least: to watch a long solve by."""
        points = 2 * math.ceil(max(self.n, 1 << 14) / 2)
        return self._error(self.cells.volumes(state.average[: self.distinct], points, generator), points)

    @torch.no_grad()
    def conclude(self, state: State, generator: torch.Generator) -> tuple[Solution, State]:
        """Judge the best heights on 10^6 fresh points; if they refute a running check, the state is no longer done."""
        volume, centres = self.cells.census(state.best[: self.distinct], REPORT_POINTS, generator)
        error, empty, steps = self._error(volume, REPORT_POINTS), int((volume == 0).sum()), int(state.steps)
        converged = error <= self.schedule.tol
        if not converged:
            refuted = torch.full_like(state.best_error, error)
            state = replace(state, done=torch.zeros_like(state.done), best_error=refuted)
        drawn = steps * self.schedule.batch
        return Solution(self.heights(state), centres[self.owner], error, empty, steps, drawn, converged), state

    def _soft_step(self, state: State, generator: torch.Generator) -> State:
        h, eps = state.heights[: self.distinct], float(state.eps)
        volume, overlap = self.cells.soft_volumes(h, eps, self.schedule.batch, generator)
        curvature = overlap / self.mass  # H_ii = mass * curvature / eps
        if int(state.steps):
            curvature = state.curvature[: self.distinct].lerp(curvature, 0.1)
        h = self._moved(h, volume, curvature, self.schedule.rate * eps)
        cooled = state.eps * self.schedule.cooling
        return replace(state, heights=h, average=h, curvature=self._full(curvature), eps=cooled)

    def _hard_step(self, state: State, generator: torch.Generator) -> State:
        u, k = self.distinct, int(state.hard) + 1
        volume = self.cells.volumes(state.heights[:u], self.schedule.batch, generator)
        rate = self.schedule.rate * float(state.eps) * k**-0.5
        h = self._moved(state.heights[:u], volume, state.curvature[:u], rate)
        # Weights that grow linearly: the variance of a plain mean over the last three quarters, for any horizon.
        return replace(state, heights=h, average=state.average.lerp(h, 2 / (k + 1)), hard=state.hard + 1)

    def _sharp(self, state: State) -> bool:
        """Whether soft cells have come close to hard ones (or eps to what the dtype resolves)."""
        overlap = float(self.mass @ state.curvature[: self.distinct]) if int(state.steps) else 1.0
        return overlap < _OVERLAP_END or float(state.eps) < 10 * torch.finfo(self.mass.dtype).eps * self.spread

    def _moved(self, h: Tensor, volume: Tensor, curvature: Tensor, rate: float) -> Tensor:
        return self._full(self._centred(h - rate * (volume / self.mass - 1) / curvature.clamp(min=0.1)))

    def _centred(self, h: Tensor) -> Tensor:
        return h - self.mass @ h

    def _full(self, rows: Tensor) -> Tensor:
        return pad(rows, (0, self.n - self.distinct))

    def _checked(self, state: State, generator: torch.Generator) -> State:
        points, h = self.schedule.check_points, state.average
        error = self._error(self.cells.volumes(h[: self.distinct], points, generator), points)
        growth = (error / self.schedule.tol) ** 2 / 0.9  # error^2 falls like 1 / points
        growth = min(max(growth, _RECHECK[0]), _RECHECK[1])
        state = replace(state, check=torch.ceil(state.check * growth).long())
        if error < float(state.best_error):
            state = replace(state, best=h.clone(), best_error=torch.full_like(state.best_error, error))
        passed = error**2 <= 0.95 * self.schedule.tol**2
        return replace(state, done=torch.full_like(state.done, passed))

    def _error(self, volume: Tensor, points: int) -> float:
        """Debiased RMS over codes of mass found / mass due - 1, whose square counting raises by cells / points."""
        square = self.mass @ (volume / self.mass - 1).square() - self.distinct / points
        return math.sqrt(max(0.0, float(square)))


@torch.no_grad()
def solve(codes: Tensor, tol: float = 0.1, max_points: int | None = None, seed: int = 0) -> Solution:
    """Solve to ``tol`` and report the error on 10^6 fresh points; arguments and errors as in ``SemiDiscrete``.

    Running checks use 20 sqrt(n) / tol^2 points, at most 10^6: the first after 1.3 n / tol^2 points with hard cells,
    then as far on as the last one foretells. A solution that passes one but not the report is improved further.
    """
    problem = SemiDiscrete(codes, tol, max_points)
    state = problem.start()
    while True:
        k = int(state.steps)
        state = problem.step(state, seeded(seed, "sdot", k))
        over = int(state.steps) >= problem.schedule.max_steps
        if over or bool(state.done):
            solution, state = problem.conclude(state, seeded(seed, "sdot-report", k))
            if over or solution.converged:
                return solution
