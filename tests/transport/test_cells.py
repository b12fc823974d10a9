"""Cells of more codes than a chunk of scores can hold many rows of: sought by tiles, counted as by brute force."""

import pytest
import torch
from driving import seeded

from latent_ot.transport.cells import _ROWS, _TILE, Cells, draw

N, DIM, POINTS = 9001, 6, 3000


@pytest.fixture(scope="module")
def many():
    """Codes, heights, source points with their mirror images, and float64 scores of these."""
    codes = torch.randn(N, DIM, generator=seeded(0))
    h = -0.9 * codes.norm(dim=1)
    w = draw(POINTS // 2, DIM, seeded(1), codes)
    both = torch.cat([w, -w])
    return codes, h, both, both.double() @ (codes - codes.mean(0)).double().T + h.double()


def test_these_codes_are_sought_by_tiles_and_fewer_are_not():
    assert Cells(torch.zeros(N, DIM)).rows < _ROWS <= Cells(torch.zeros(8192, DIM)).rows
    assert N % _TILE[1]  # the last tile is not whole


def test_every_point_is_counted_in_its_own_cell(many):
    codes, h, _, scores = many
    best, own = scores.max(1)
    volumes = Cells(codes).volumes(h, POINTS, seeded(1))
    assert float(volumes.sum()) == pytest.approx(1)
    moved = (POINTS * volumes - torch.bincount(own, minlength=N)).abs().sum() / 2
    gap = best - scores.scatter(1, own[:, None], -torch.inf).amax(1)
    assert moved <= (gap < 1e-5).sum()  # float32 tells no closer scores apart
    assert len(own.unique()) > 500


def test_the_tiles_own_points_with_exact_scores():
    """Scores of small integers are exact, so that no point may go astray, whichever tile and place wins."""
    codes = torch.randint(-8, 8, (N, DIM), generator=seeded(2)).float()
    codes -= codes.mean(0).round()
    cells, h = Cells(codes), torch.randint(-64, 64, (N,), generator=seeded(3)) / 8 + torch.arange(N) / 2**14
    cells.slopes[:N] = codes  # uncentred, hence integers
    w = torch.randint(-4, 5, (2500, DIM), generator=seeded(4)) / 4
    own = cells._owners(w, torch.cat([w, -w]), cells._padded(h))
    assert torch.equal(own, torch.cat([(w @ codes.T + h).argmax(1), (h - w @ codes.T).argmax(1)]))


def test_centres_are_the_means_of_their_cells_points(many):
    codes, h, both, scores = many
    volumes, centres = Cells(codes).census(h, POINTS, seeded(1))
    assert torch.equal(centres.isnan().all(1), volumes == 0)
    own = scores.argmax(1)
    one = int(torch.bincount(own).argmax())
    torch.testing.assert_close(centres[one], both[own == one].mean(0), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close((volumes[:, None] * centres.nan_to_num()).sum(0), torch.zeros(DIM), atol=1e-6, rtol=0)


@pytest.mark.parametrize("eps", [0.3, 0.02])
@pytest.mark.one_quick
def test_soft_masses_are_mean_shares(many, eps):
    codes, h, _, scores = many
    s = torch.softmax(scores / eps, 1)
    mass, overlap = Cells(codes).soft_volumes(h, eps, POINTS, seeded(1))
    torch.testing.assert_close(mass.double(), s.mean(0), atol=1e-7, rtol=1e-3)
    torch.testing.assert_close(overlap.double(), (s * (1 - s)).mean(0), atol=1e-7, rtol=1e-3)


def test_tiny_numbers_are_kept_again_after_soft_cells(many):
    codes, h, *_ = many
    Cells(codes[:50]).soft_volumes(h[:50], 0.1, 10, seeded(1))
    assert float(torch.tensor(1e-38) / 100) > 0
