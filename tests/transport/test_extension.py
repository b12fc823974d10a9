import math

import ot
import pytest
import torch

from latent_ot.errors import InputError
from latent_ot.metrics.modes import mode_coverage
from latent_ot.seeding import generator
from latent_ot.transport.cells import Cells, draw
from latent_ot.transport.extension import Barycentric, Mixture, angle_quantile, angles, idw, median_gap, pairs
from latent_ot.transport.semidiscrete import solve

WIDE = 1e9  # an eps or angle that excludes nothing


class Solved:
    """Codes of one dimension, solved, and each extension of T as a function of (w, how far it may join codes)."""

    def __init__(self, dim):
        self.z = torch.randn(80, dim, generator=torch.Generator().manual_seed(dim), dtype=torch.float64)
        solution = solve(self.z, tol=0.1)
        self.h, self.c = solution.heights, solution.centres
        self.w = draw(3000, dim, generator(1, "w"), self.z)

    def t(self, w):
        return self.z[Cells(self.z).assign(w, self.h)]

    def barycentric(self, w, eps):
        return Barycentric(self.z, self.h, self.c, eps)(w)

    def idw(self, w, threshold):
        return idw(w, self.z, self.h, self.c, threshold)

    def pairs(self, w, threshold):
        return pairs(w, self.z, self.h, threshold, generator(2, "pairs"), mix=None)


@pytest.fixture(scope="module")
def solved():
    return {dim: Solved(dim) for dim in (1, 2, 3, 10)}


CASES = [*[("barycentric", dim) for dim in (1, 2, 3)], *[(mode, dim) for mode in ("idw", "pairs") for dim in (2, 10)]]


@pytest.mark.parametrize(("mode", "dim"), CASES)
def test_weights_are_convex_and_not_all_trivial(solved, mode, dim):
    mixture = getattr(solved[dim], mode)(solved[dim].w, WIDE)
    assert (mixture.weight >= 0).all()
    torch.testing.assert_close(mixture.weight.sum(1), torch.ones(3000, dtype=torch.float64), atol=1e-12, rtol=0)
    assert not mixture.single.all()


@pytest.mark.parametrize(("mode", "dim"), CASES)
def test_joining_nothing_gives_exactly_the_map(solved, mode, dim):
    case = solved[dim]
    mixture = getattr(case, mode)(case.w, 0.0)
    assert mixture.single.all()
    assert torch.equal(mixture.of(case.z), case.t(case.w))


@pytest.mark.parametrize(("mode", "dim"), [case for case in CASES if case[0] != "pairs"])
@pytest.mark.parametrize("width", [0.0, 0.5, WIDE])
def test_mass_centres_go_to_their_codes(solved, mode, dim, width):
    case = solved[dim]
    torch.testing.assert_close(getattr(case, mode)(case.c, width).of(case.z), case.z, atol=1e-8, rtol=0)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_the_barycentric_extension_stays_within_eps_of_the_map(solved, dim):
    case = solved[dim]
    eps = 3 * median_gap(case.z)
    drawn, mapped = case.barycentric(case.w, eps).of(case.z), case.t(case.w)
    distance = (drawn - mapped).norm(dim=1)
    assert 0 < distance.max() <= eps
    w2 = ot.emd2([], [], ot.dist(drawn[:500].numpy(), mapped[:500].numpy()))
    assert math.sqrt(w2) <= eps


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_the_barycentric_extension_is_continuous_where_nothing_is_excluded(solved, dim):
    case = solved[dim]
    path = torch.linspace(-0.25, 0.25, 20_001, dtype=torch.float64)[:, None] * torch.ones(dim, dtype=torch.float64)
    assert case.barycentric(path, WIDE).of(case.z).diff(dim=0).norm(dim=1).max() < 0.01
    assert case.t(path).diff(dim=0).norm(dim=1).max() > 0.05


def test_outside_the_hull_of_the_centres_the_map_itself_is_used(solved):
    case = solved[2]
    corners = torch.tensor([[0.499, 0.499], [-0.499, 0.499]], dtype=torch.float64)
    mixture = case.barycentric(corners, WIDE)
    assert mixture.single.all()
    assert torch.equal(mixture.of(case.z), case.t(corners))


def test_pairs_join_only_planes_within_the_angle(solved):
    case = solved[10]
    threshold = angle_quantile(case.z, case.h, generator(3, "angles"), 0.3)
    mixture = case.pairs(case.w, threshold)
    theta = angles(case.z, mixture.index[:, 0], mixture.index[:, 1])
    joined = ~mixture.single
    assert theta[joined].max() <= threshold
    assert torch.equal(mixture.index[:, 0], Cells(case.z).assign(case.w, case.h))
    assert 0.05 < joined.double().mean() < 1


def test_a_fixed_mix_is_the_share_of_the_second_code(solved):
    case = solved[10]
    mixture = pairs(case.w, case.z, case.h, WIDE, generator(2, "pairs"), mix=0.75)
    assert torch.equal(mixture.weight, torch.tensor([[0.25, 0.75]], dtype=torch.float64).expand(3000, 2))


def test_pairs_of_a_cell_with_itself_alone_are_the_map(solved):
    case = solved[2]
    assert torch.equal(pairs(case.w, case.z, case.h, WIDE, generator(0, "p"), k=1).of(case.z), case.t(case.w))


def test_the_angle_of_normals_is_exact_for_close_and_for_opposite_codes():
    codes = torch.tensor([[0.0], [1e-7], [1.0], [-1.0]])
    expected = torch.tensor([1e-7, math.pi / 4, math.pi / 2])
    i, j = torch.tensor([0, 0, 2]), torch.tensor([1, 2, 3])
    torch.testing.assert_close(angles(codes, i, j), expected, rtol=1e-6, atol=0)


def test_the_quantile_of_angles_orders_thresholds(solved):
    case = solved[10]
    found = [angle_quantile(case.z, case.h, generator(3, "angles"), q) for q in (0.0, 0.5, 1.0)]
    assert 0 < found[0] < found[1] < found[2] <= math.pi


def test_the_median_gap_of_a_lattice_is_known():
    codes = torch.arange(1001.0)[:, None]
    assert median_gap(codes, k=5) == 3.0
    assert median_gap(codes[:3], k=5) == 2.0


def test_25_gaussians_keep_their_modes_and_little_lies_between():
    side = torch.arange(5) - 2.0
    modes = torch.cartesian_prod(side, side)
    codes = modes.repeat(40, 1) + 0.05 * torch.randn(1000, 2, generator=torch.Generator().manual_seed(0))
    heights = solve(codes, tol=0.1).heights
    w = draw(10_000, 2, generator(0, "w"), codes)
    drawn = pairs(w, codes, heights, 0.05, generator(0, "mix"), mix=None).of(codes)
    distance, mode = torch.cdist(drawn, modes).min(1)
    assert distance.max() < 4.5 * 0.05  # the codes themselves reach 4 standard deviations
    shares = torch.bincount(mode, minlength=25) / len(mode)
    assert (25 * shares - 1).abs().max() < 0.15
    assert mode_coverage(drawn.numpy(), modes.numpy(), 0.05)["modes"] == 25


def test_cells_that_were_not_hit_are_no_corners(solved):
    case = solved[2]
    centres = case.c.clone()
    centres[:40] = math.nan
    mixture = Barycentric(case.z, case.h, centres, WIDE)(case.w)
    assert torch.isfinite(mixture.of(case.z)).all()
    assert (mixture.index[~mixture.single][:, 1:] >= 40).all()
    assert torch.isfinite(idw(case.w, case.z, case.h, centres, WIDE).weight).all()


def test_a_triangulation_needs_few_dimensions_and_enough_cells(solved):
    case = solved[10]
    with pytest.raises(InputError, match="10 dimensions"):
        case.barycentric(case.w, WIDE)
    with pytest.raises(InputError, match="2 cells"):
        Barycentric(case.z[:2, :2], case.h[:2], case.c[:2, :2], WIDE)


def test_a_mixture_is_its_weighted_codes():
    codes = torch.tensor([[0.0, 0.0], [4.0, 8.0]])
    mixture = Mixture(torch.tensor([[0, 1], [1, 1]]), torch.tensor([[0.75, 0.25], [0.0, 1.0]]))
    assert torch.equal(mixture.of(codes), torch.tensor([[1.0, 2.0], [4.0, 8.0]]))
    assert mixture.single.tolist() == [False, True]
