import math

import ot
import pytest
import torch

from latent_ot.errors import InputError
from latent_ot.metrics.modes import mode_coverage
from latent_ot.seeding import generator
from latent_ot.transport.cells import Cells, draw
from latent_ot.transport.extension import Barycentric, Mixture, angles, distances, highest, idw, median_gap, pairs
from latent_ot.transport.semidiscrete import solve

WIDE = 1e9  # an eps or angle that excludes nothing
BY = ("distance", "angle")


class Solved:
    """Codes of one dimension, solved, and each extension of T as a function of (w, how far it may join codes)."""

    def __init__(self, dim):
        self.z = torch.randn(80, dim, generator=torch.Generator().manual_seed(dim), dtype=torch.float64)
        solution = solve(self.z, tol=0.1)
        self.h, self.c = solution.heights, solution.centres
        self.w = draw(3000 if dim <= 3 else 300, dim, generator(1, "w"), self.z)

    def t(self, w):
        return self.z[Cells(self.z).assign(w, self.h)]

    def barycentric(self, w, eps):
        return Barycentric(self.z, self.h, self.c, eps)(w)

    def idw(self, w, limit, by="distance"):
        return idw(w, self.z, self.h, self.c, limit, by)

    def pairs(self, w, limit, by="distance"):
        return pairs(w, self.z, self.h, limit, generator(2, "pairs"), mix=None, by=by)

    def limit(self, by, q=0.3):
        """Return the q-quantile of distances or angles between own and next cells, and none of them."""
        near = highest(self.w, self.z, self.h, 20)
        apart = {"distance": distances, "angle": angles}[by](self.z, near[:, :1], near[:, 1:])
        return float(apart.quantile(q)) * (1 + 1e-6)


@pytest.fixture(scope="module")
def solved():
    return {dim: Solved(dim) for dim in (1, 2, 3, 64)}


CASES = [
    *[("barycentric", dim) for dim in (1, 2, 3)],
    *[(mode, dim) for mode in ("idw", "pairs") for dim in (2, 3, 64)],
]


@pytest.mark.parametrize(("mode", "dim"), CASES)
def test_weights_are_convex_and_not_all_trivial(solved, mode, dim):
    mixture = getattr(solved[dim], mode)(solved[dim].w, WIDE)
    assert (mixture.weight >= 0).all()
    torch.testing.assert_close(
        mixture.weight.sum(1), torch.ones(len(mixture.weight), dtype=torch.float64), atol=1e-12, rtol=0
    )
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


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("dim", [2, 3, 64])
def test_pairs_are_those_that_brute_force_allows(solved, dim, by):
    case = solved[dim]
    limit, w = case.limit(by), case.w[:200]
    apart = _apart(case.z, by)
    found, joined = case.pairs(w, limit, by), 0
    for i, own, other, r in zip(w, *found.index.T.tolist(), found.weight[:, 1].tolist(), strict=True):
        first, *near = sorted(range(80), key=lambda k: -float(i @ case.z[k] + case.h[k]))[:20]
        allowed = [k for k in near if apart[first, k] <= limit]
        assert own == first
        assert (other in allowed and 0 < r < 1) if allowed else r == 0
        joined += bool(allowed)
    assert joined > 20


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("dim", [2, 3, 64])
def test_inverse_distance_weights_are_those_of_brute_force(solved, dim, by):
    case = solved[dim]
    limit, w = case.limit(by, 0.5), case.w[:100]
    apart, several = _apart(case.z, by), 0
    expected = []
    for x in w:
        own = int((case.z @ x + case.h).argmax())
        kept = [own]
        for k in sorted(set(range(80)) - {own}, key=lambda k: float((x - case.c[k]).norm()))[:dim]:
            if all(apart[k, other] <= limit for other in (kept if by == "distance" else [own])):
                kept.append(k)
        weight = 1 / (x - case.c[kept]).norm(dim=1)
        expected.append((weight / weight.sum()) @ case.z[kept])
        several += len(kept) > 2
    assert several > 10
    torch.testing.assert_close(case.idw(w, limit, by).of(case.z), torch.stack(expected), atol=1e-9, rtol=0)


def _apart(z, by):
    """Return distances or angles (n, n) between codes, by their definitions."""
    if by == "distance":
        return (z[:, None] - z).square().sum(2).sqrt()
    normals = torch.cat([z, -torch.ones(len(z), 1).double()], 1)
    cosine = normals @ normals.T / (normals.norm(dim=1)[:, None] * normals.norm(dim=1))
    return torch.arccos(cosine.clamp(-1, 1))


@pytest.mark.parametrize("mode", ["idw", "pairs"])
@pytest.mark.parametrize("dim", [2, 3, 64])
def test_joined_by_distance_the_extension_stays_within_eps_of_the_map_and_mixes_simplices(solved, mode, dim):
    """Theorem 1 of AE-OT-GAN, pointwise."""
    case = solved[dim]
    eps = case.limit("distance")
    mixture = getattr(case, mode)(case.w, eps)
    moved = (mixture.of(case.z) - case.t(case.w)).norm(dim=1)
    assert 0 < moved.max() <= eps
    codes = torch.where((mixture.weight > 0)[..., None], case.z[mixture.index], case.t(case.w)[:, None])
    assert torch.cdist(codes, codes).max() <= eps + 1e-6


def test_of_two_codes_too_far_apart_the_one_of_the_nearer_centre_is_kept():
    codes = torch.tensor([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 9.0]])
    centres = torch.tensor([[0.0, 0.0], [0.2, 0.0], [-0.3, 0.0], [0.4, 0.4]])
    heights = torch.tensor([0.0, -0.2, -0.2, -9.0])
    w = torch.tensor([[0.05, 0.0]])
    mixture = idw(w, codes, heights, centres, 1.5)
    inverse = 1 / torch.tensor([0.05, 0.15, 0.35])
    assert mixture.index.tolist() == [[0, 1, 2]]
    assert mixture.weight[0].tolist() == pytest.approx([*(inverse[:2] / inverse[:2].sum()).tolist(), 0.0])
    assert idw(w, codes, heights, centres, 2.0).weight[0].tolist() == pytest.approx((inverse / inverse.sum()).tolist())


@pytest.mark.parametrize("mode", ["idw", "pairs"])
def test_what_is_joined_by_distance_is_free_of_the_scale_of_the_codes_unlike_by_angle(solved, mode):
    case = solved[64]
    small = Solved.__new__(Solved)
    small.z, small.h, small.c, small.w = case.z / 64, case.h / 64, case.c, case.w
    eps, angle = case.limit("distance"), case.limit("angle", 0.02)
    mixed, of_small = (getattr(one, mode)(one.w, e).weight > 0 for one, e in ((case, eps), (small, eps / 64)))
    assert torch.equal(mixed, of_small)
    mixed, of_small = (getattr(one, mode)(one.w, angle, "angle").weight > 0 for one in (case, small))
    assert not mixed.all()
    assert of_small.all()  # planes of small codes all meet at small angles


def test_a_fixed_mix_is_the_share_of_the_second_code(solved):
    case = solved[64]
    mixture = pairs(case.w, case.z, case.h, WIDE, generator(2, "pairs"), mix=0.75)
    assert torch.equal(mixture.weight, torch.tensor([[0.25, 0.75]], dtype=torch.float64).expand(300, 2))


def test_pairs_of_a_cell_with_itself_alone_are_the_map(solved):
    case = solved[2]
    assert torch.equal(pairs(case.w, case.z, case.h, WIDE, generator(0, "p"), k=1).of(case.z), case.t(case.w))


def test_the_angle_of_normals_is_exact_for_close_and_for_opposite_codes():
    codes = torch.tensor([[0.0], [1e-7], [1.0], [-1.0]])
    expected = torch.tensor([1e-7, math.pi / 4, math.pi / 2])
    i, j = torch.tensor([0, 0, 2]), torch.tensor([1, 2, 3])
    torch.testing.assert_close(angles(codes, i, j), expected, rtol=1e-6, atol=0)


def test_the_median_gap_of_a_lattice_is_known():
    codes = torch.arange(1001.0)[:, None]
    assert median_gap(codes, k=5) == 3.0
    assert median_gap(codes[:3], k=5) == 2.0


@pytest.mark.slow
def test_25_gaussians_keep_their_modes_and_little_lies_between():
    side = torch.arange(5) - 2.0
    modes = torch.cartesian_prod(side, side)
    codes = modes.repeat(40, 1) + 0.05 * torch.randn(1000, 2, generator=torch.Generator().manual_seed(0))
    heights = solve(codes, tol=0.1).heights
    w = draw(10_000, 2, generator(0, "w"), codes)
    drawn = pairs(w, codes, heights, median_gap(codes), generator(0, "mix"), mix=None).of(codes)
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
    case = solved[64]
    with pytest.raises(InputError, match="64 dimensions"):
        case.barycentric(case.w, WIDE)
    with pytest.raises(InputError, match="2 cells"):
        Barycentric(case.z[:2, :2], case.h[:2], case.c[:2, :2], WIDE)


def test_a_mixture_is_its_weighted_codes():
    codes = torch.tensor([[0.0, 0.0], [4.0, 8.0]])
    mixture = Mixture(torch.tensor([[0, 1], [1, 1]]), torch.tensor([[0.75, 0.25], [0.0, 1.0]]))
    assert torch.equal(mixture.of(codes), torch.tensor([[1.0, 2.0], [4.0, 8.0]]))
    assert mixture.single.tolist() == [False, True]
