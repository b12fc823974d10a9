"""The numeric checks behind claims give what is kept, and a broken subject fails them."""

from types import SimpleNamespace

import pytest
import torch

from latent_ot.report import checks, identities
from latent_ot.report.rules import Check
from latent_ot.report.verdicts import claims

REGIONS = {c.rule.name: c.rule.region for c in claims() if isinstance(c.rule, Check)}


@pytest.mark.parametrize("name", checks.CHECKS)
def test_what_is_kept_is_what_the_check_gives_and_the_claims_bounds_decide_alike(name):
    again = checks.run(name, checks.SEEDS[:1])
    kept = checks.outcome(name)
    if again is None:
        pytest.skip("the suite does not have yet what this checks")
    assert len(kept) == len(checks.SEEDS), "run `latent-ot claims --recheck`"
    assert again == pytest.approx(kept[:1], rel=0.05, abs=1e-8)
    assert REGIONS[name].holds(again[0]) == REGIONS[name].holds(kept[0])


def test_what_was_never_checked_has_no_outcome_and_recheck_keeps_what_it_gives(monkeypatch, tmp_path):
    (tmp_path / "claims").mkdir()
    monkeypatch.setattr(checks, "benchmarks", lambda: tmp_path)
    monkeypatch.setattr(checks, "CHECKS", ("steep_discriminator", "not_yet"))

    def not_yet(seed):
        import latent_ot.no_such_module  # noqa: F401

    monkeypatch.setattr(identities, "not_yet", not_yet, raising=False)
    checks._kept.cache_clear()
    assert checks.outcome("steep_discriminator") == []
    checks.recheck()
    assert len(checks.outcome("steep_discriminator")) == len(checks.SEEDS)
    assert checks.outcome("not_yet") == []
    checks._kept.cache_clear()


def test_an_assignment_that_is_not_the_best_is_found_out(monkeypatch):
    monkeypatch.setattr(identities, "assign", lambda x, y: torch.arange(len(x)))
    assert not REGIONS["assignment_cost"].holds(identities.assignment_cost(0))


def unsolved(codes, tol, seed):
    return SimpleNamespace(heights=torch.zeros(len(codes)).double(), centres=codes)


def test_cells_of_unequal_volume_are_found_out(monkeypatch):
    monkeypatch.setattr(identities, "solve", unsolved)
    assert not REGIONS["sdot_cells"].holds(identities.sdot_cells(0))


def test_an_extension_that_leaves_the_codes_is_found_out(monkeypatch):
    def away(codes, heights, centres, eps):
        return lambda w: SimpleNamespace(of=lambda z: z[:1] + 2 * eps + torch.zeros(len(w), 2))

    monkeypatch.setattr(identities, "solve", unsolved)
    monkeypatch.setattr(identities, "Barycentric", away)
    assert not REGIONS["sdot_extension"].holds(identities.sdot_extension(0))


def test_a_critic_that_weighs_its_samples_unequally_is_found_out(monkeypatch):
    monkeypatch.setattr(identities, "wasserstein_critic", lambda real, fake: fake.mean() - 2 * real.mean() + 1)
    assert not REGIONS["iwgan_identity"].holds(identities.iwgan_identity(0))
