"""The rule by which GLDO's penalty weight is chosen, on invented runs."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).parents[3] / "benchmarks" / "sweeps" / "gldo_eps.py"


@pytest.fixture(scope="module")
def choose():
    spec = importlib.util.spec_from_file_location("gldo_eps", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.choose


def runs(table, half=0.0, loss="l2", penalty="norm"):
    """Return two runs a weight from weight -> (FID, its range over the seeds, PSNR)."""
    return [
        {"loss": loss, "penalty": penalty, "eps": eps, "seed": seed, "held_out_fid": fid + seed * apart,
         "held_out_psnr": psnr, "held_out_psnr_at_half": psnr - half}
        for eps, (fid, apart, psnr) in table.items() for seed in (0, 1)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("table", "chosen"),
    [
        ({0: (6.0, 0.1, 27), 0.1: (5.0, 0.1, 27), 1: (5.5, 0.1, 28)}, 0.1),  # the best generation, not the best PSNR
        ({0: (6.0, 0.1, 27), 0.1: (5.0, 0.1, 26.6), 1: (4.0, 0.1, 26.4)}, 0.1),  # 1 costs more than half a decibel
        ({0: (4.6, 0.1, 27), 0.1: (5.0, 0.1, 27), 1: (6.0, 0.1, 29)}, 0),  # no penalty generates better
        ({0: (5.0, 0.3, 27), 0.1: (5.1, 0.3, 27), 1: (5.2, 0.1, 27)}, 1),  # a tie
    ],
)
def test_the_weight_that_generates_best_at_no_loss_of_reconstruction_is_chosen(choose, table, chosen):
    assert choose(runs(table)) == {"l2/norm": chosen}


def test_without_an_end_of_the_search_or_a_weight_of_zero_nothing_is_chosen(choose):
    table = {0: (6.0, 0.1, 27), 1: (5.0, 0.1, 27)}
    assert choose(runs(table, half=0.2)) == {"l2/norm": None}
    assert choose(runs({1: (5.0, 0.1, 27)})) == {"l2/norm": None}


def test_a_penalty_is_compared_with_weight_zero_of_its_own_loss(choose):
    made = [*runs({0: (6.0, 0.1, 27)}), *runs({10: (5.0, 0.1, 27), 100: (4.0, 0.1, 20)}, penalty="squared_norm")]
    assert choose([*made, *runs({1: (5.0, 0.1, 27)}, loss="lap1")]) == {
        "l2/norm": 0, "l2/squared_norm": 10, "lap1/norm": None,
    }  # fmt: skip
