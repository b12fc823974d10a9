import csv
import io
import json

import pytest

from latent_ot.errors import InputError
from latent_ot.report.published import load_table, stand_ins, stands_for, table_names
from latent_ot.report.quantities import QUANTITIES
from latent_ot.report.tables import print_bench, render_published, shown_for, table

# Read off the paper by eye; every line is one row of one table, in the order of its columns.
PRINTED = {
    "gldo-table1": {
        "GLDO": "2.81 23.2±0.2 3.55 26.6±0.1 5.87 64.2±1.2 37.3±1.7 42.1±0.3",
        "GLO": "1.88 50.4±0.4 2.18 52.2±0.3 4.32 71.6±3.3 56.0±0.6 67.5±0.1",
        "VAE": "2.35 28.5±0.6 1.91 58.7±1.2 3.74 146.7±8.3 88.2±3.7 64.3±1.5",
        "WAE-MMD": "2.57 24.3±0.6 2.73 34.6±0.4 4.02 83.4±4.6 57.2±1.3 74.6±3.4",
        "DCGAN": "3.11 14.7±1.6 3.88 22.1±3.2 6.16 64.4±4.3 33.9±1.0 36.2±1.7",
        "WGAN-GP": "2.89 21.8±1.2 3.62 26.3±2.1 7.46 62.7±2.9 35.6±1.7 35.5±2.2",
        "BEGAN": "3.43 16.3±0.9 3.70 23.8±0.6 5.62 81.2±5.6 41.8±1.2 47.2±1.0",
    },
    "gldo-table2": {
        "PCA": "21.4 22.1 24.6 23.2",
        "WAE": "24.5 30.3 20.1 22.7",
        "GAN": "25.6 28.4 22.5 18.3",
        "GLO": "26.7 31.6 25.2 22.4",
        "GLDO": "27.1 31.7 24.8 27.8",
    },
    "otgen-table-2d": {
        "OTgen": "0.090 0.092",
        "OTtrans": "0.086 0.075",
        "k-means + Gaussian (k = 8)": "0.117 0.123",
        "k-means + Gaussian (k = 16)": "0.084 0.090",
        "data": "0.070 0.071",
    },
    "otgen-table-is": {
        "data": "9.86 9.07",
        "AE-OTgen": "9.52 7.90",
        "AE-OTtrans": "9.19 7.45",
        "AE-OT": "6.89 5.81",
        "WAE": "7.46 5.97",
        "VAE": "6.03 5.39",
        "GAN": "6.43 6.65",
        "WGAN": "6.90 5.96",
    },
    "gldo-table4": {
        "GLO": "0.829 0.635 0.902 0.861 0.626 0.650 0.302 0.279",
        "GLDO": "0.742 0.811 0.974 0.965 0.752 0.816 0.458 0.627",
    },
}


@pytest.mark.parametrize("name", PRINTED)
def test_every_published_value_is_the_printed_one(name):
    spec = load_table(name)
    shown = {}
    for row in spec.rows:
        cells = []
        for column in spec.columns:
            number = row.values[column.key]
            spread = "" if number.std is None else f"±{number.std:.{column.digits}f}"
            cells.append(f"{number.value:.{column.digits}f}{spread}")
        shown[row.label] = " ".join(cells)
    assert shown == PRINTED[name]


@pytest.mark.parametrize("name", table_names())
def test_a_table_is_whole(name):
    spec = load_table(name)
    assert spec.id == name
    keys = [c.key for c in spec.columns]
    assert len(set(keys)) == len(keys)
    for column in spec.columns:
        assert QUANTITIES[column.metric].direction == column.direction
        assert column.dataset in stand_ins()
    for row in spec.rows:
        assert set(row.values) <= set(keys)


def test_what_stands_for_what():
    assert [stands_for(d) for d in ("mnist", "mnist5k", "mnist_10k", "cifar10_25k", "celeba64_crop160_6k")] == [
        "mnist", "mnist", "mnist", "cifar10", "celeba64_crop160",
    ]  # fmt: skip
    assert [stands_for(d) for d in ("digits", "ring8", "mnist28", "celeba64_crop108")] == [None] * 4
    assert shown_for("mnist5k") == ["gldo-table1", "gldo-table2", "gldo-table4", "otgen-table-is"]
    assert shown_for("moons") == ["otgen-table-2d"]
    assert shown_for("ring8") == []


def test_a_published_data_row_stands_beside_our_yardstick_and_wins_nothing(record):
    points = {"dataset": "moons", "protocol": {"id": "moons/n1000x250", "n": 1000, "repeats": 250}}
    found = {"data": 0.0701, "ae_ot_gen": 0.08, "ae_ot_trans": 0.09}
    text = table(
        "otgen-table-2d", "moons", "ci", [record(m, 0, {"ot_divergence": v}, **points) for m, v in found.items()]
    )
    rows = {line.split()[0]: line for line in text.splitlines() if " | " in line}
    assert "0.070 | 0.0701" in rows["data"]
    assert "0.0800 ± –*" in rows["OTgen"]
    assert [name for name, line in rows.items() if "*" in line] == ["OTgen"]
    assert "data (held-out)" not in text
    assert 'METHODS="data"' not in text


def test_published_stands_beside_ours_with_the_interval_and_ties_marked(record):
    runs = [record("gldo", s, {"fid": 10.0 + s, "is": 9.0}) for s in range(3)]
    runs += [record("glo", s, {"fid": 10.0 + 2 * s - s * s, "is": 8.0}) for s in range(3)]
    runs += [record("vae", s, {"fid": 50.0 + s, "is": 8.0}) for s in range(3)]
    lines = table("gldo-table1", "mnist5k", "ci", runs).splitlines()
    (gldo,) = [line for line in lines if line.startswith("GLDO ")]
    assert gldo.split()[1:] == ["2.81", "|", "9.00", "±", "0.00*", "23.2", "±", "0.2", "|", "11.000", "±", "2.484*"]
    assert any(line.startswith("GLO ") and line.endswith("10.333 ± 1.434*") for line in lines)
    assert any(line.startswith("VAE ") and line.endswith("51.000 ± 2.484") for line in lines)


def test_a_heading_says_what_stands_for_what_and_under_which_conditions(record):
    text = " ".join(table("gldo-table1", "mnist5k", "ci", [record()]).split())
    assert "Ours: mnist5k stands for mnist; budget ci, 64,000 images a stage; width 0.5; seed 0" in text
    assert "Published: Optimizing Latent Distributions for Non-Adversarial Generative Networks, Table 1." in text
    assert "protocol mnist5k/mnist-1a2b3c4d/n1000/rec128x200: evaluator mnist" in text
    assert "Fashion" not in table("gldo-table1", "mnist5k", "ci", [record()]).split("method")[1].split("\n")[0]


def test_one_seed_has_no_interval(record):
    assert "27.1 | 21.00 ± –" in table("gldo-table2", "mnist5k", "ci", [record(metrics={"psnr": 21.0, "fid": 1.0})])


def test_what_was_not_run_is_a_dash_with_the_command_that_runs_it(record):
    text = table("gldo-table2", "mnist5k", "ci", [record(metrics={"psnr": 21.0, "fid": 1.0})])
    assert '– not run: make bench DATASET=mnist5k METHODS="pca wae_mmd dcgan glo" BUDGET=ci' in text
    assert "GAN: the paper does not say which GAN this row is; ours is DCGAN" in text
    failed = record("glo", status="failed", reason="no memory")
    assert "– for glo: failed on mnist5k at budget ci: no memory" in table("gldo-table2", "mnist5k", "ci", [failed])


def test_without_a_data_set_every_column_stands_beside_its_own(record):
    protocol = {"id": "mnist/inception/n10000", "evaluator": "inception", "checksum": "ab" * 32, "n": 10000}
    runs = [record("gldo", dataset="mnist", metrics={"fid": 20.0}, protocol=protocol), record("gldo")]
    text = table("gldo-table1", None, None, runs)
    assert "23.2 ± 0.2 | 20.000 ± –" in text
    assert "stands for" not in text
    assert "Nothing was run on: fashion_mnist, cifar10, celeba64_crop160, lsun_bedroom64" in text


def test_unasked_the_suites_own_data_set_and_budget_are_shown_where_they_were_run(record, board):
    large = {"budget": "short", "images_budget": 128000}
    points = {"dataset": "moons", "protocol": {"id": "moons/n1000x250", "n": 1000, "repeats": 250}}
    runs = [record("glo", 0, {"fid": 9.0}), record("glo", 0, {"fid": 8.0}, **large)]
    runs.append(record("ae_ot_gen", 0, {"ot_divergence": 0.08}, **points, **large))
    root = board(*runs)
    own = render_published("gldo-table1", None, None, root, "text")
    assert "Ours: mnist5k stands for mnist; budget ci" in own
    assert "| 9.000" in own
    points_table = render_published(
        "otgen-table-2d", None, None, root, "text"
    )  # the default data set has no place here
    assert "Ours: moons; budget short" in points_table
    assert "Nothing was run on: circles" in points_table


def test_two_protocols_get_a_column_each(record, raw):
    other = raw()["protocol"] | {"id": "mnist5k/inception/n1000", "evaluator": "inception"}
    runs = [record("gldo", metrics={"fid": 10.0}), record("glo", metrics={"fid": 90.0}, protocol=other)]
    rows = list(csv.DictReader(io.StringIO(table("gldo-table1", "mnist5k", "ci", runs, "csv"))))
    fids = {
        key: [row[key] for row in rows[:2]] for key in rows[0] if key.startswith("mnist_fid@") and key.count("_") == 1
    }
    assert sorted(fids.values()) == [["", "90.0"], ["10.0", ""]]
    assert "MNIST FID ↓ [b]" in table("gldo-table1", "mnist5k", "ci", runs)


@pytest.mark.parametrize("form", ["text", "md", "csv", "json", "latex"])
def test_every_form_holds_the_published_and_our_number(record, form):
    text = table("gldo-table1", "mnist5k", "ci", [record(metrics={"fid": 12.345})], form)
    assert "23.2" in text
    assert ("12.345" if form in ("csv", "json") else "12.35" if "12.35" in text else "12.34") in text


def test_json_carries_numbers_not_prose(record):
    (found,) = json.loads(table("gldo-table1", "mnist5k", "ci", [record(metrics={"fid": 12.5})], "json"))
    row = next(r for r in found["rows"] if r["method"] == "gldo")
    assert (row["mnist_fid_published"], row["mnist_fid_published_spread"], row["mnist_fid"]) == (23.2, 0.2, 12.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gldo-tabel1", "mnist5k", "ci"), "table 'gldo-tabel1' is unknown; .*nearest: gldo-table1"),
        (("gldo-table1", "mnist5", "ci"), "dataset 'mnist5' stands for no column of gldo-table1.*nearest: mnist5k"),
        (
            ("gldo-table2", "moons", "ci"),
            "dataset 'moons' stands for no column of gldo-table2; allowed: mnist, mnist5k",
        ),
        (("gldo-table1", "mnist5k", "shrt"), "budget 'shrt' is unknown; .*nearest: short"),
    ],
)
def test_bad_input_is_one_line_with_the_nearest_choice(arguments, message):
    with pytest.raises(InputError, match=message):
        table(*arguments, [])


def test_the_command_lines_entry_points(board, raw, capsys):
    root = board(raw())
    assert render_published("gldo-table1", "mnist5k", "ci", root, "text").startswith("gldo-table1: ")
    print_bench([raw(), raw("data")])
    assert capsys.readouterr().out.startswith("mnist5k, budget ci\n")
