import numpy as np
import ot
import pytest
import torch
from driving import seeded
from scipy.optimize import linear_sum_assignment

from latent_ot.transport import assignment, candidates
from latent_ot.transport.assignment import assign

N = 400


def cloud(d, seed=0, scale=1.0, shift=0.0, n=N):
    return scale * torch.randn(n, d, generator=seeded(seed), dtype=torch.float64) + shift


def integers(low, high, d, seed):
    return torch.randint(low, high, (N, d), generator=seeded(seed)).double()


def clusters(seed, sizes):
    """Clusters far apart: whoever has more points than the other's sends them all the way."""
    return torch.cat([cloud(8, seed + k, shift=20.0 * k, n=size) for k, size in enumerate(sizes)])


CLOUDS = {
    "near": (cloud(16), cloud(16, 1)),
    "in the plane": (cloud(2), cloud(2, 1)),
    "on a line": (cloud(1), cloud(1, 1)),
    "more dimensions than points": (cloud(500), cloud(500, 1)),
    "far apart": (cloud(5), cloud(5, 1, 30.0, 100.0)),
    "stretched": (cloud(2), cloud(2, 1) @ torch.tensor([[1.0, 0.9], [0.0, 0.01]]).double()),
    "far from the origin": (cloud(4, 0, 0.01, 1e6), cloud(4, 1, 0.01, 1e6)),
    "small but for an outlier": tuple(torch.cat([cloud(3, k, 1e-5, n=N - 1), torch.ones(1, 3)]) for k in (0, 1)),
    "heavy tails": (cloud(4) ** 3, cloud(4, 1) ** 5),
    "clusters of other sizes": (clusters(0, (200, 200)), clusters(5, (100, 300))),
    "the same points": (cloud(4), cloud(4).flip(0)),
    "almost the same": (cloud(4).flip(0) + 1e-6 * cloud(4, 2), cloud(4)),
    "bits, with ties": (integers(0, 2, 32, 0), integers(0, 2, 32, 1)),
    "a lattice, with ties and copies": (integers(0, 5, 3, 0), integers(0, 5, 3, 1)),
    "copies": (cloud(3, n=20).repeat(20, 1), cloud(3, 1, n=50).repeat(8, 1)),
    "almost copies": tuple(cloud(3, k, n=20).repeat(20, 1) + 1e-9 * cloud(3, 2 + k) for k in (0, 1)),
    "all alike": (torch.ones(N, 3).double(), cloud(3, 1)),
    "both all alike": (torch.ones(N, 3).double(), torch.zeros(N, 3).double()),
}


@pytest.fixture
def sparse_only(monkeypatch):
    """Assign clouds of any size on candidate pairs, as many as it takes, and let no dense solver help.

    Returns what was asked of ``solve``, and its answers.
    """
    solve, kept = candidates.solve, []
    monkeypatch.setattr(candidates, "solve", lambda *clouds: kept.append((clouds, solve(*clouds))) or kept[-1][1])
    monkeypatch.setattr(assignment, "SPARSE_FROM", 1)
    monkeypatch.setattr(candidates, "MOST", N)
    monkeypatch.setattr("lap.lapjvr", None)
    return kept


@pytest.mark.parametrize("case", CLOUDS)
def test_candidate_pairs_give_the_cost_of_scipy(case, sparse_only):
    x, y = CLOUDS[case]
    s = assign(x, y)
    squared = torch.stack([(row - y).square().sum(1) for row in x]).numpy()
    best = squared[linear_sum_assignment(squared)].sum()
    assert torch.equal(s.sort().values, torch.arange(N))
    assert float((x - y[s]).square().sum()) == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize("case", CLOUDS)
def test_the_potentials_prove_it_without_trust_in_the_solver(case, sparse_only):
    """Weak duality in extended precision: no plan has more than sum p + sum q, and this one has as much."""
    assign(*CLOUDS[case])
    (((x, _, from_x), (y, _, to_y)), found) = sparse_only[0]
    x, y, p, q = (np.asarray(v, dtype=np.longdouble) for v in (x, y, found.p, found.q))
    slack = p[:, None] + q - 2 * x @ y.T
    size = np.abs(p)[:, None] + np.abs(q) + (x**2).sum(1)[:, None] + (y**2).sum(1) + 1e-30
    assert (slack / size).min() >= -1e-12
    assert np.abs(slack / size)[found.i, found.j].max() <= 1e-12
    assert np.array_equal(np.bincount(found.i, found.mass, minlength=len(x)), from_x.numpy())
    assert np.array_equal(np.bincount(found.j, found.mass, minlength=len(y)), to_y.numpy())


def test_equal_points_are_solved_as_one(sparse_only):
    assign(*CLOUDS["copies"])
    assert [len(cloud.mass) for cloud in sparse_only[0][0]] == [20, 50]


def test_unequal_masses_agree_with_pot():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 5)), rng.normal(size=(90, 5))
    from_x, to_y = rng.multinomial(600, np.full(60, 1 / 60)) + 1.0, rng.multinomial(570, np.full(90, 1 / 90)) + 1.0
    x, y = x - x.mean(0), y - y.mean(0)
    (a, b), masses = ((v**2).sum(1) for v in (x, y)), (from_x, to_y)
    clouds = [candidates.Cloud(*map(torch.from_numpy, v)) for v in zip((x, y), (a, b), masses, strict=True)]
    found = candidates.solve(*clouds)
    plan = ot.emd(from_x, to_y, -2 * x @ y.T)
    moved = (2 * x @ y.T)[found.i, found.j] @ found.mass
    assert moved == pytest.approx((2 * x @ y.T * plan).sum(), rel=1e-9)
    assert found.p @ from_x + found.q @ to_y == pytest.approx(moved, rel=1e-9)


@pytest.mark.parametrize("limit", ["ROUNDS", "MOST"])
def test_what_candidates_do_not_prove_is_solved_densely(limit, monkeypatch):
    x, y = CLOUDS["in the plane"]
    expected = assign(x, y)
    monkeypatch.setattr(candidates, limit, 1)
    monkeypatch.setattr(assignment, "SPARSE_FROM", 1)
    assert torch.equal(assign(x, y), expected)


def test_small_clouds_are_solved_densely(monkeypatch):
    monkeypatch.setattr(candidates, "solve", None)
    assert len(assign(*CLOUDS["near"])) == N < assignment.SPARSE_FROM


@pytest.mark.slow
@pytest.mark.parametrize("copies", [1, 8])
def test_4096_points_in_64_dimensions_cost_what_scipy_finds(copies, monkeypatch):
    monkeypatch.setattr("lap.lapjvr", None)
    centres = 2 * torch.randn(10, 64, generator=seeded(9)).double()
    x, y = ((cloud(64, k, n=4096) + centres[torch.randint(10, (4096,), generator=seeded(5 + k))]) for k in (0, 1))
    y = y[: 4096 // copies].repeat(copies, 1)
    s, squared = assign(x, y), torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").square()
    best = squared.numpy()[linear_sum_assignment(squared.numpy())].sum()
    assert float((x - y[s]).square().sum()) == pytest.approx(best, rel=1e-9)
