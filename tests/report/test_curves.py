"""A figure of a paper as a table: curves read at shares of the budget, the order at the end, and their drawing."""

import json
from xml.etree import ElementTree

import pytest

from latent_ot.errors import InputError
from latent_ot.published import load_table
from latent_ot.quantities import QUANTITIES
from latent_ot.report.beside import places
from latent_ot.report.curves import SHARES, at_share, line, ordering
from latent_ot.report.page import generate
from latent_ot.report.tables import render_published as table

PAPER = {"gan_kl": (0.5, None), "vaegan": (0.6, 60.0), "sdkl_ns": (0.05, 50.0), "vae_adv_perc": (0.01, 30.0)}


@pytest.fixture
def followed(record):
    """Make a run of 64,000 images whose losses are followed every 320 images: name -> function of the share."""

    def make(method, seed=0, ends=1.0, extra=None, **losses):
        places = [320 * i for i in range(1, round(200 * ends) + 1)]
        loss = {name: [[x, f(x / 64000)] for x in places] for name, f in losses.items()}
        return record(method, seed, {"fid": 9.0}, curves={"loss": loss, **(extra or {})})

    return make


@pytest.fixture
def five(followed):
    """The five models of SDKL's figure at three seeds, with the order that the paper states."""
    runs = []
    for seed in range(3):
        for method, (level, kl) in PAPER.items():
            losses = {"discriminator": lambda s, a=level, k=seed: a * (1 + 0.01 * k)}
            losses |= {"kl": lambda s, b=kl, k=seed: b * s + k} if kl else {}
            runs.append(followed(method, seed, **losses))
        runs.append(followed("sdkl", seed, discriminator=lambda s: 1e-7, kl=lambda s, k=seed: 20 * s + k))
    return runs


def test_a_curve_is_read_as_the_mean_of_a_tenth_of_the_budget(followed):
    run = followed("sdkl", kl=lambda share: share)
    found = [at_share([run], "loss.kl", share)[0] for share in SHARES]
    assert found[:3] == pytest.approx([1 / 8, 1 / 4, 1 / 2])  # the mean of a line over a window is its middle
    assert found[3] == pytest.approx(1 - 1 / 40, abs=1e-3)  # at the end the window has one side
    assert run.smoothed("loss.kl", 3200) == pytest.approx(0.05 + 0.0025, abs=1e-3)


def test_a_run_that_stopped_early_has_an_end_but_no_later_places(followed):
    runs = [followed("iwgan", ends=0.3, gap=lambda share: 2 * share)]
    assert at_share(runs, "loss.gap", 1 / 2) == {}
    assert at_share(runs, "loss.gap", 1.0)[0] == pytest.approx(2 * (0.3 - 1 / 40), abs=5e-3)


def test_values_that_were_not_finite_and_curves_that_are_not_there_count_for_nothing(record):
    run = record(curves={"loss": {"kl": [[32000, None], [64000, 3.0]]}, "modes": [[64000, 8.0]]})
    assert at_share([run], "loss.kl", 1 / 2) == {}
    assert at_share([run], "loss.kl", 1.0) == {0: 3.0}
    assert at_share([run], "modes", 1.0) == {0: 8.0}
    assert at_share([run], "loss.gap", 1.0) == {}
    assert line(run, "loss.kl") == [(64000, 3.0)]


def test_a_failed_run_has_no_value(followed):
    failed = followed("sdkl", kl=lambda share: share).model_copy(update={"status": "diverged", "reason": "kl = nan"})
    assert at_share([failed], "loss.kl", 1.0) == {}


def test_rows_are_ordered_with_the_interval_of_each_step():
    rows = {"low": {0: 1.0, 1: 2.0, 2: 3.0}, "high": {0: 11.0, 1: 12.5, 2: 12.5}, "alone": {0: 5.0}}
    text = ordering(rows, QUANTITIES["kl"])
    assert text.startswith("high 12.00 ± 2.15 > alone 5.00 ± – > low 2.00 ± 2.48; paired by seed, ")
    assert text.endswith("high – alone: 6.00 ± –, alone – low: 4.00 ± –")


def test_the_figure_as_a_table_shows_shares_ends_order_and_where_it_is_drawn(five):
    text = " ".join(table("sdkl-fig1", "mnist5k", None, five).split())
    assert "mnist5k in the place of celeba64; budget ci" in text
    assert "(8,000, 16,000 and 32,000 training images seen)" in text
    assert "SDKL without sampling (sdkl_ns) 7.25 ± 2.48 13.50 ± 2.48 26.00 ± 2.48" in text
    assert "ours at the end, KL stored (nats): VAEGAN 59.50 ± 2.48 > SDKL without sampling 49.75" in text
    assert "VAEGAN – SDKL without sampling: 9.75 ± 0.00, SDKL without sampling – VAE: 19.50 ± 0.00" in text
    assert "1e-07 ± 0" in text
    assert "figures/mnist5k/ci--mnist-1a2b3c4d-n1000-rec128x200--sdkl-fig1-kl.svg" in text
    assert "*" not in text.replace("*:", "")  # no side of either curve is the better one


def test_programs_read_a_row_for_each_curve_and_method(five):
    (found,) = json.loads(table("sdkl-fig1", "mnist5k", "ci", five, "json"))
    rows = {(row["curve"], row["method"]): row for row in found["rows"]}
    assert len(rows) == 10
    assert rows["discriminator", "sdkl"]["end"] == 1e-7
    assert rows["kl", "vaegan"]["1/2"] == pytest.approx(31)
    assert rows["kl", "vaegan"]["end_seeds"] == 3
    assert rows["kl", "gan_kl"]["end"] is None
    assert found["id"] == "sdkl-fig1"


def test_modes_and_quality_of_a_mixture_are_followed_and_the_better_is_marked(record):
    points = {"dataset": "ring8", "protocol": {"id": "ring8/n1000x250", "n": 1000, "repeats": 250}}
    config = {"wgan_gp": {"network": "toy", "latent_dim": 5, "batch_size": 256, "lr": 1e-4, "penalty": 1.0}}
    made = []
    for method, modes in (("iwgan", (6.0, 8.0)), ("wgan_gp", (2.0, 3.0))):
        curves = {"modes": [[16000, modes[0]], [64000, modes[1]]], "high_quality": [[64000, modes[1] / 10]]}
        curves["loss"] = {"gap": [[64000, 0.01]]} if method == "iwgan" else {}
        made.append(record(method, 0, {"ot_divergence": 0.1}, curves=curves, config=config, **points))
    lines = table("iwgan-toy-fig2", "ring8", "ci", made).splitlines()
    shown = [line.split("  ") for line in lines if "iWGAN   " in line or "WGAN-GP  " in line]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in shown]
    assert cells[2] == ["modes ↑", "iWGAN", "–", "6.0 ± –*", "–", "8.0 ± –*", "–"]
    assert cells[3] == ["WGAN-GP", "–", "2.0 ± –", "–", "3.0 ± –", "–"]
    bare = made[1].model_copy(update={"config": {}})
    assert not places(load_table("iwgan-toy-fig2"), "ring8", "ci", [bare])[1].runs  # the suite's own WGAN-GP is another


def test_pages_draw_the_curves_of_all_rows_once_and_link_them(five, board):
    pages = generate(board(*five), five)
    drawn = {name: data for name, data in pages.items() if "sdkl-fig1" in name}
    assert [name.rpartition("--")[2] for name in drawn] == ["sdkl-fig1-discriminator.svg", "sdkl-fig1-kl.svg"]
    for name, data in drawn.items():
        ElementTree.fromstring(data)
        assert f"]({name})" in pages["mnist5k.md"].decode()
        assert b"SDKL without sampling" in data
    assert b"GAN (reverse KL)" not in drawn[next(name for name in drawn if "kl.svg" in name)]
    assert generate(board(*five), five) == pages


def test_a_data_set_that_nobody_knows_is_refused_for_a_figure_too(five):
    with pytest.raises(InputError, match=r"dataset 'mnist5' stands for no column of sdkl-fig1; .*nearest: mnist5k"):
        table("sdkl-fig1", "mnist5", None, five)
