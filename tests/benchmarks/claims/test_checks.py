"""The numeric checks behind claims give what is kept, and a broken subject fails them."""

import importlib.util
from types import SimpleNamespace

import pytest
import torch

from latent_ot import claims
from latent_ot.budgets import benchmarks

SPEC = importlib.util.spec_from_file_location("claim_checks", benchmarks() / "claims" / "checks.py")
assert SPEC
assert SPEC.loader
checks = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(checks)
REGIONS = {c.rule.check: c.rule.region(c.datasets[0].dataset) for c in claims.claims() if c.rule.check}


def test_every_check_that_a_claim_names_is_kept_and_no_other():
    assert REGIONS.keys() == claims.checks().keys() == {check.__name__ for check in checks.CHECKS}


@pytest.mark.slow
@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
def test_what_is_kept_is_what_the_check_gives_and_the_claims_bounds_decide_alike(check):
    kept, region = claims.checks()[check.__name__], REGIONS[check.__name__]
    again = check(checks.SEEDS[0])
    assert len(kept) == len(checks.SEEDS), "run `python benchmarks/claims/checks.py`"
    assert again == pytest.approx(kept[0], rel=0.05, abs=1e-8)
    assert region.holds(again) == region.holds(kept[0])


def test_the_script_keeps_what_the_checks_give(monkeypatch, tmp_path):
    monkeypatch.setattr(checks, "CHECKS", (checks.steep_discriminator,))
    monkeypatch.setattr(checks, "__file__", str(tmp_path / "checks.py"))
    checks.main()
    kept = (tmp_path / "checks.json").read_text()
    assert kept.count(",") == len(checks.SEEDS) - 1
    assert str(checks.significant(checks.steep_discriminator(0))) in kept


def test_an_assignment_that_is_not_the_best_is_found_out(monkeypatch):
    monkeypatch.setattr(checks, "assign", lambda x, y: torch.arange(len(x)))
    assert not REGIONS["assignment_cost"].holds(checks.assignment_cost(0))


def unsolved(codes, tol, seed):
    return SimpleNamespace(heights=torch.zeros(len(codes)).double(), centres=codes)


def test_cells_of_unequal_volume_are_found_out(monkeypatch):
    monkeypatch.setattr(checks, "solve", unsolved)
    assert not REGIONS["sdot_cells"].holds(checks.sdot_cells(0))


def test_an_extension_that_leaves_the_codes_is_found_out(monkeypatch):
    def away(codes, seed):
        drawn = SimpleNamespace(of=lambda z: z.mean(0).expand(1000, -1))  # between all modes
        parts = {"dim": codes.shape[1], "targets": codes, "heights": torch.zeros(len(codes)), "eps": torch.tensor(0.1)}
        return SimpleNamespace(**parts, extend=lambda w, g: drawn)

    monkeypatch.setattr(checks, "_solved", away)
    assert not REGIONS["sdot_extension"].holds(checks.sdot_extension(0))


def test_a_critic_that_weighs_its_samples_unequally_is_found_out(monkeypatch):
    monkeypatch.setattr(checks, "wasserstein_critic", lambda real, fake: fake.mean() - 2 * real.mean() + 1)
    assert not REGIONS["iwgan_identity"].holds(checks.iwgan_identity(0))
