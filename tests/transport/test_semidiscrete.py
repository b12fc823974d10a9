import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch.utils._python_dispatch import TorchDispatchMode

from latent_ot.errors import InputError
from latent_ot.seeding import generator
from latent_ot.transport.cells import Cells, draw
from latent_ot.transport.semidiscrete import REPORT_POINTS, Schedule, SemiDiscrete, State, solve


def gaussian(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def plane():
    """60 codes in the plane, solved to 5 %."""
    codes = gaussian(60, 2)
    return codes, solve(codes, tol=0.05)


@pytest.fixture(scope="module")
def space():
    """300 codes of unequal scales in eight dimensions, solved to 10 %."""
    codes = gaussian(300, 8, seed=1) * torch.logspace(0, -1, 8)
    return codes, solve(codes, tol=0.1)


def energy(codes, h, w):
    """E(h) = E max_i(<w, z_i> + h_i) - mean(h)."""
    return float((w @ codes.T + h).amax(1).mean() - h.mean())


def advance(problem, state, steps, seed=0):
    for _ in range(steps):
        state = problem.step(state, generator(seed, "sdot", int(state.steps)))
    return state


def test_on_a_line_the_cells_are_equal_intervals():
    codes = gaussian(20, 1)
    h = solve(codes, tol=0.02).heights
    z, order = codes[:, 0].sort()
    borders = -h[order].diff() / z.diff()  # where planes i and i + 1 meet
    expected = torch.arange(1, 20) / 20 - 0.5
    torch.testing.assert_close(borders, expected.double(), atol=0.1 / 20, rtol=0)


def test_masses_on_a_dense_grid_of_the_square_are_equal(plane):
    codes, solution = plane
    side = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000 - 0.5
    own = torch.cat([Cells(codes).assign(torch.cartesian_prod(row, side), solution.heights) for row in side.split(50)])
    masses = torch.bincount(own, minlength=60) / len(own)
    assert (60 * masses - 1).square().mean().sqrt() < 0.055


@pytest.mark.parametrize("case", ["plane", "space"])
def test_masses_of_fresh_points_are_equal_to_the_tolerance(case, request):
    codes, solution = request.getfixturevalue(case)
    n, points = len(codes), 400_000
    own = Cells(codes).assign(draw(points, codes.shape[1], generator(9, "fresh"), codes), solution.heights)
    relative = n * torch.bincount(own, minlength=n) / points - 1
    assert solution.converged
    assert solution.empty_cells == 0
    assert math.sqrt(max(0.0, float(relative.square().mean()) - n / points)) < 1.3 * solution.error
    worst_noise = math.sqrt(2 * math.log(2 * n / 0.001)) * math.sqrt(n / points)
    assert relative.abs().max() < 6 * solution.error + worst_noise


@pytest.mark.parametrize("case", ["plane", "space"])
def test_heights_sum_to_zero_and_lower_the_energy(case, request):
    codes, solution = request.getfixturevalue(case)
    w = draw(100_000, codes.shape[1], generator(9, "energy"), codes)
    assert abs(float(solution.heights.sum())) < 1e-9
    problem = SemiDiscrete(codes)
    start = problem.heights(problem.start())
    assert energy(codes, solution.heights, w) < energy(codes, start, w) < energy(codes, 0 * start, w)


@pytest.mark.parametrize("case", ["plane", "space"])
def test_the_map_is_cyclically_monotone(case, request):
    codes, solution = request.getfixturevalue(case)
    w = draw(300, codes.shape[1], generator(9, "monotone"), codes)
    gain = w @ codes[Cells(codes).assign(w, solution.heights)].T
    rows, columns = linear_sum_assignment(gain.numpy(), maximize=True)
    assert gain[rows, columns].sum() == pytest.approx(float(gain.trace()), rel=1e-12)


def test_the_centre_of_a_cell_lies_in_it_and_the_centres_average_to_zero(plane):
    codes, solution = plane
    own = Cells(codes).assign(solution.centres, solution.heights)
    assert torch.equal(own, torch.arange(60))
    assert solution.centres.mean(0).abs().max() < 0.02


def test_permuted_codes_have_permuted_heights(plane):
    codes, solution = plane
    shuffle = torch.randperm(60, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(solve(codes[shuffle], tol=0.05).heights, solution.heights[shuffle], atol=1e-9, rtol=0)


@pytest.mark.parametrize("factor", [0.125, 1024.0])
def test_scaled_codes_have_scaled_heights(plane, factor):
    codes, solution = plane
    assert torch.equal(solve(factor * codes, tol=0.05).heights, factor * solution.heights)


def test_shifted_codes_have_the_same_heights(plane):
    codes, solution = plane
    torch.testing.assert_close(solve(codes + 100, tol=0.05).heights, solution.heights, atol=1e-6, rtol=0)


def test_a_constant_added_to_the_heights_changes_no_cell(plane):
    codes, solution = plane
    w = draw(5000, 2, generator(9, "constant"), codes)
    assert torch.equal(Cells(codes).assign(w, solution.heights), Cells(codes).assign(w, solution.heights + 7))


def test_equal_codes_share_one_cell_of_their_joint_mass():
    codes = torch.cat([gaussian(8, 2), gaussian(8, 2)[:2], gaussian(8, 2)[:1]])
    solution = solve(codes, tol=0.05)
    assert solution.converged
    assert torch.equal(solution.heights[[0, 0, 1]], solution.heights[[8, 10, 9]])
    masses = Cells(codes).volumes(solution.heights, 200_000, generator(9, "equal"))
    expected = torch.tensor([3.0, 2, *[1] * 6, 0, 0, 0], dtype=torch.float64) / 11
    torch.testing.assert_close(masses, expected, atol=0.01, rtol=0)


@pytest.mark.slow
def test_a_constant_dimension_changes_nothing_but_the_points_drawn():
    codes = torch.cat([gaussian(20, 2), torch.full((20, 1), 5.0, dtype=torch.float64)], 1)
    heights, flat = solve(codes, tol=0.04).heights, solve(codes[:, :2], tol=0.04).heights
    assert (heights - flat).norm() < 0.03 * flat.norm()


def test_agrees_with_pot():
    from ot.semidiscrete import solve_semidiscrete

    codes = gaussian(16, 2, seed=4)
    rng = np.random.default_rng(0)
    reference = solve_semidiscrete(
        codes.numpy(),
        lambda size: rng.random((size, 2)) - 0.5,
        metric=lambda x, y: -x @ y.T,
        max_iter=6000,
        decreasing_reg_initial_eps=0.3,
    )
    reference = torch.from_numpy(reference - reference.mean())
    assert (solve(codes, tol=0.03).heights - reference).norm() < 0.03 * reference.norm()


def test_an_interrupted_solution_continues_to_the_same_bytes():
    problem = SemiDiscrete(gaussian(100, 3).float())
    whole = advance(problem, problem.start(), 300)
    half = advance(problem, problem.start(), 150)
    stored = {name: value.numpy().tobytes() for name, value in half.tensors().items()}
    blank = State.blank(100).tensors()
    restored = State(**{
        name: torch.frombuffer(bytearray(data), dtype=blank[name].dtype).reshape(blank[name].shape)
        for name, data in stored.items()
    })  # fmt: skip
    again = advance(SemiDiscrete(gaussian(100, 3).float()), restored, 150)
    assert all(torch.equal(value, again.tensors()[name]) for name, value in whole.tensors().items())


def test_a_check_comes_before_the_update_and_keeps_what_it_checked():
    problem = SemiDiscrete(gaussian(50, 2))
    state = problem.start()
    while not bool(state.done):
        before, state = state, problem.step(state, generator(0, "sdot", int(state.steps)))
    assert torch.equal(state.best, before.average)
    assert torch.equal(state.steps, before.steps)
    assert problem.step(state, generator(0, "other")) is state


def test_the_best_heights_are_returned_not_the_last():
    problem = SemiDiscrete(gaussian(50, 2), tol=0.05)
    state = problem.start()
    while not bool(state.done):
        state = problem.step(state, generator(0, "sdot", int(state.steps)))
    spoilt = replace(state, average=-state.average, done=torch.tensor(False), check=state.hard)
    after = problem.step(spoilt, generator(0, "worse"))
    assert torch.equal(after.best, state.best)
    assert torch.equal(problem.heights(after), problem.heights(state))


def test_a_report_that_refutes_a_check_reopens_the_state():
    problem = SemiDiscrete(gaussian(50, 2), tol=0.05)
    lucky = replace(problem.start(), done=torch.tensor(True), best_error=torch.tensor(0.01, dtype=torch.float64))
    solution, state = problem.conclude(lucky, generator(0, "report"))
    assert not solution.converged
    assert not bool(state.done)
    assert float(state.best_error) == solution.error > 0.05


def test_the_error_is_debiased():
    """n v_i - 1 of exact cells counted on N points has mean square n / N; what is reported has mean zero."""
    codes = gaussian(64, 1)
    z, order = codes[:, 0].sort()
    steps = -z.diff() * (torch.arange(1, 64) / 64 - 0.5)
    heights = torch.cat([torch.zeros(1, dtype=torch.float64), steps.cumsum(0)])[order.argsort()]
    problem = SemiDiscrete(codes)
    exact = torch.zeros(64, dtype=torch.float64).scatter(0, problem.owner, heights)
    solution, _ = problem.conclude(replace(problem.start(), best=exact), generator(0, "report"))
    assert solution.error < 0.5 * math.sqrt(64 / REPORT_POINTS)


@pytest.mark.slow
def test_what_ran_out_of_points_says_so():
    solution = solve(gaussian(500, 4), tol=0.01, max_points=20_000)
    assert not solution.converged
    assert 0.01 < solution.error < 1.5
    assert solution.points == solution.iterations * Schedule(500).batch >= 20_000


def test_outliers_leave_no_cell_empty():
    codes = gaussian(400, 8) * gaussian(400, 1, seed=5).exp()
    solution = solve(codes.float())
    assert solution.converged
    assert solution.empty_cells == 0


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (torch.tensor([[0.0, math.nan], [1.0, 2.0]]), "1 of 2 rows"),
        (torch.tensor([[0.0, math.inf], [1.0, 2.0]]), "1 of 2 rows"),
        (torch.ones(5, 2), "5 rows, all equal"),
        (torch.ones(1, 2), "1 rows, all equal"),
        (torch.ones(5), r"shape \(5,\)"),
        (torch.ones(5, 2, dtype=torch.int64), "int64"),
    ],
)
def test_codes_that_pose_no_problem_are_refused(codes, message):
    with pytest.raises(InputError, match=message):
        solve(codes)


@pytest.mark.parametrize(
    "values", [{"tol": 0.0}, {"tol": -1.0}, {"tol": math.nan}, {"tol": math.inf}, {"max_points": 0}]
)
def test_impossible_settings_are_refused(values):
    with pytest.raises(InputError, match=next(iter(values))):
        solve(gaussian(5, 2), **values)


class Largest(TorchDispatchMode):
    """Remembers the largest tensor, in bytes, that any operation returned."""

    bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        for value in found if isinstance(found, tuple | list) else [found]:
            if isinstance(value, torch.Tensor):
                self.bytes = max(self.bytes, value.untyped_storage().nbytes())
        return found


def test_memory_stays_bounded():
    """Scores of 20,000 codes and 2,000 points would take 160 MB; hard cells need tiles, soft ones 128 rows at once."""
    cells, h = Cells(torch.randn(20_000, 4)), torch.zeros(20_000)
    with Largest() as hard:
        cells.volumes(h, 2000, generator(0, "m"))
    with Largest() as soft:
        cells.soft_volumes(h, 1.0, 2000, generator(0, "m"))
    assert hard.bytes <= 4 << 20
    assert soft.bytes <= 11 << 20
