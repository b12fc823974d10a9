import csv
import io
import itertools
import json

import pytest

from latent_ot.catalog import Catalog
from latent_ot.errors import InputError
from latent_ot.published import load_table, stand_ins, stands_for, table_names
from latent_ot.quantities import QUANTITIES
from latent_ot.record import DATA
from latent_ot.report.tables import print_bench, render_published, shown_for
from latent_ot.report.tables import render_published as table

# Read off the papers by eye; every line is a row of a table, in the order of its columns, a dot where none is printed.
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
    "gldo-table3": {
        "DCGAN": "30.3 41.4 45.1",
        "WGAN-GP": "32.6 44.5 43.0",
        "GLO": "57.4 61.8 69.2",
        "GLDO": "38.7 42.7 48.4",
    },
    "gldo-table4": {
        "GLO": "0.829 0.635 0.902 0.861 0.626 0.650 0.302 0.279",
        "GLDO": "0.742 0.811 0.974 0.965 0.752 0.816 0.458 0.627",
    },
    "gldo-table5": {
        "GLO": "50.1 52.4 55.7",
        "GLO-GLF": "32.6 39.8 45.3",
        "GLO-TSV": "42.6 47.0 58.4",
        "GLDO": "23.1 26.7 36.9",
        "GLANN": "14.2 21.5 40.7",
    },
    "gldo-table6": {
        "GLO": "50.1 55.7",
        "GLO-WD": "27.6 47.3",
        "GLO-NP": "55.8 73.4",
        "GLO-SN": "22.6 38.2",
        "GLDO": "23.1 36.9",
    },
    "gldo-mix-inline": {"GLDO-Mix": "30.4 43.5", "GLDO": "23.1 36.9"},
    "gldo-table8": {"WGAN": "36.6 .", "WAE": "59.7 21.1", "GLO": "62.4 26.3", "GLDO": "38.5 27.2"},
    "aeotgan-table1": {
        "WGAN-GP": "40.2 19.6 21.2 18.4",
        "PGGAN": ". 18.8 . 16.3",
        "SNGAN": "25.5 21.7 . .",
        "WGAN-div": ". 18.1 17.5 15.2",
        "WGAN-QC": ". . . 12.9",
        "AE-OT": "34.2 28.5 24.3 28.6",
        "AE-OT-GAN": "25.2 17.1 11.2 7.8",
    },
    "aeotgan-table2": {"PGGAN": "14.7", "WGAN-div": "13.5", "WGAN-QC": "7.7", "AE-OT-GAN": "7.2"},
    "aeotgan-mnist-inline": {"AE-OT-GAN": "3.2", "best of the large-scale GAN study": "6.7", "AE-OT": "6.4"},
    "otgen-table-2d": {
        "OTgen": "0.090 0.092",
        "OTtrans": "0.086 0.075",
        "k-means + Gaussian (k = 8)": "0.117 0.123",
        "k-means + Gaussian (k = 16)": "0.084 0.090",
        "data": "0.070 0.071",
    },
    "otgen-table-is": {
        "true images": "9.86 9.07",
        "AE-OTgen": "9.52 7.90",
        "AE-OTtrans": "9.19 7.45",
        "AE-OT": "6.89 5.81",
        "WAE-MMD": "7.46 5.97",
        "VAE": "6.03 5.39",
        "GAN": "6.43 6.65",
        "WGAN": "6.90 5.96",
    },
    "otgen-table-celeba": {
        "AE-OTgen": "58.07",
        "AE-OTtrans": "58.79",
        "AE-OT": "106.96",
        "WAE-MMD": "64.71",
        "VAE": "59.85",
    },
    "iwgan-celeba-inline": {"iWGAN": "69.28", "WGAN-GP": "94.49"},
}
OURS = {  # rows beside the paper's own: what it does not have
    "gldo-table1": ["GLO_L2", "GLDO_L2", "WAE-MMD_own"],
    "gldo-table2": ["GLO_L2", "GLDO_L2", "WAE_own"],
    "gldo-table3": ["GLO_L2", "GLDO_L2"],
    "gldo-table4": ["GLO_L2", "GLDO_L2", "GLDO_L2, eps 3"],
    "gldo-table5": ["GLO_L2", "GLO-GLF_L2", "GLO-TSV_L2", "GLDO_L2", "GLANN_L2"],
    "gldo-table6": ["GLO_L2", "GLO-WD_L2", "GLO-NP_L2", "GLO-SN_L2", "GLDO_L2"],
    "gldo-table8": ["GLO_L2", "GLDO_L2", "WAE_own"],
    "gldo-mix-inline": ["GLDO-Mix_L2", "GLDO_L2"],
    **{name: ["AE-OT-GAN without adversary"] for name in ("aeotgan-table1", "aeotgan-table2", "aeotgan-mnist-inline")},
}
DRAWN = {  # figures without a printed number: their rows by method, in the paper's order
    "gldo-fig4": "wgan_gp glo_p gldo_p glo gldo",
    "gldo-fig7": "glo_lap gldo_lap glo_p gldo_p",
    "gldo-fig8": " ".join(14 * ["gldo_p"]),  # seven eps on two scales
    "iwgan-toy-fig2": "iwgan wgan_gp",
    "sdkl-fig1": "gan_kl vae_adv_perc vaegan sdkl_ns sdkl",
}
CONSTANTS = {
    "aeotgan-hparams-inline": {
        "lr_g": 2e-5, "R.mnist": 15, "R.cifar10": 25, "R.celeba": 15, "T.mnist": 3, "T.cifar10": 10, "T.celeba": 5,
        "beta": 2000, "alpha_l": 0.06, "alpha_L_times_norm": 2, "gen_to_rec_ratio": 3, "epochs": 500,
        "latent_mnist": 64,
    },
    "otgen-hparams-inline": {
        "steps_2d": 10000, "lr_2d": 3e-4, "batch_2d": 128, "width": 512, "layers_2d": 5, "layers_img": 7,
        "latent_mnist": 8, "batch_celeba": 4096, "lambda_div.2d": 0, "lambda_div.mnist": 0, "lambda_div.fashion": 0,
        "lambda_div.celeba": 1, "lambda_wae_aeot": 0.1,
    },
}  # fmt: skip
IN_TEXT = {  # where the text says another number than the table
    ("gldo-table5", "GLO-TSV", "mnist"): 40.2,
    ("gldo-table8", "WAE", "gen"): 55.7,
    ("gldo-table8", "GLDO", "gen"): 36.5,
}


@pytest.mark.parametrize("name", PRINTED)
def test_every_published_value_is_the_printed_one(name):
    spec = load_table(name)
    shown = {}
    for row in spec.rows:
        cells = []
        for column in spec.columns:
            number = row.values.get(column.key)
            spread = "" if number is None or number.std is None else f"±{number.std:.{column.digits}f}"
            cells.append(f"{number.value:.{column.digits}f}{spread}" if number else ".")
        shown[row.label] = " ".join(cells)
    assert {label: printed for label, printed in shown.items() if set(printed) - {".", " "}} == PRINTED[name]
    others = {row.label: row.values for row in spec.rows if row.label not in PRINTED[name]}
    assert others == {label: {} for label in OURS.get(name, ())}


def test_all_tables_as_json_hold_every_id_and_every_published_number():
    grids = json.loads(render_published(None, None, None, [], "json"))
    assert {grid["id"] for grid in grids} == PRINTED.keys() | DRAWN.keys() | CONSTANTS.keys() == set(table_names())
    found, text, constants = [], {}, {}
    for grid in grids:
        for row in grid["rows"]:
            for key in (k.removesuffix("_published") for k in row if k.endswith("_published")):
                if "constant" in row:
                    constants.setdefault(grid["id"], {})[row["constant"]] = row[f"{key}_published"]
                elif row[f"{key}_published"] is not None:
                    found.append((grid["id"], row["method_label"], row[f"{key}_published"]))
                if row.get(f"{key}_published_text") is not None:
                    text[grid["id"], row["method_label"], key] = row[f"{key}_published_text"]
    cells = ((t, label, cell) for t, rows in PRINTED.items() for label, row in rows.items() for cell in row.split())
    wanted = [(t, label, float(cell.split("±")[0])) for t, label, cell in cells if cell != "."]
    assert sorted(found) == sorted(wanted)
    assert text == IN_TEXT
    assert constants == CONSTANTS


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_without_a_printed_number_says_so_and_what_order_is_stated(name):
    spec = load_table(name)
    assert [row.method for row in spec.rows] == DRAWN[name].split()
    assert "without a printed number" in spec.protocol
    assert spec.notes
    assert not any(spec.has_number(column) for column in spec.columns)


@pytest.mark.parametrize("name", table_names())
def test_a_table_is_whole(name):
    spec = load_table(name)
    assert spec.id == name
    keys = [c.key for c in spec.columns]
    assert len(set(keys)) == len(keys)
    for column in spec.columns:
        assert QUANTITIES[column.metric].direction == column.direction
        assert column.dataset in stand_ins()
        assert column.settings.keys() <= {row.method for row in spec.rows}
    for row in spec.rows:
        assert set(row.values) | set(row.text_values) <= set(keys)
    assert len({row.label for row in spec.rows}) == len(spec.rows)
    assert len({constant.name for constant in spec.values}) == len(spec.values)
    assert all(constant.dataset is None or constant.dataset in stand_ins() for constant in spec.values)
    assert spec.columns or spec.values


@pytest.mark.parametrize("name", table_names())
def test_the_settings_of_a_table_are_settings_of_the_suites_methods(name):
    spec, catalog = load_table(name), Catalog()
    for row, column in itertools.product(spec.rows, spec.columns):
        if row.method in (None, DATA):
            continue
        method, settings = spec.asked(row, column)
        parts = catalog.recipe(method).parts
        for part, given in settings.items():
            assert part in parts
            kind = "methods" if part in catalog.files["methods"] else "samplers"
            catalog.stage(kind, part).Config.build(given, where=part)


def test_what_stands_for_what():
    assert [stands_for(d) for d in ("mnist", "mnist5k", "mnist_10k", "cifar10_25k", "celeba64_crop160_6k")] == [
        "mnist", "mnist", "mnist", "cifar10", "celeba64_crop160",
    ]  # fmt: skip
    assert [stands_for(d) for d in ("mnist28", "celeba64_crop12")] == [None] * 2
    gldo = ["gldo-mix-inline", *(f"gldo-table{i}" for i in (1, 2, 4, 5, 6))]
    assert shown_for("mnist5k") == ["aeotgan-mnist-inline", *gldo, "otgen-table-is"]
    assert shown_for("moons") == ["otgen-table-2d"]
    assert shown_for("ring8") == ["iwgan-toy-fig2"]
    assert shown_for("digits") == shown_for("mnist5k")


def test_rows_of_gldos_tables_have_the_losses_and_the_code_length_of_its_paper():
    """GLDO learns by a perceptual and a squared error, GLO by Lap1 in its place on faces; codes have 100 numbers."""
    catalog, seen = Catalog(), set()
    for name in (t for t in table_names() if t.startswith("gldo-") and t != "gldo-fig7"):
        spec = load_table(name)
        for row, column in itertools.product(spec.rows, spec.columns):
            if row.label in OURS.get(name, ()) or row.label.endswith("_L2"):
                continue
            method, asked = spec.asked(row, column)
            recipe = catalog.recipe(method)
            part = recipe.parts[0]
            kind = catalog.stage("methods", part)
            given = {**recipe.settings.get(part, {}), **asked.get(part, {})}
            config = kind.Config.build({**kind.defaults((1, 32, 32), given), **given}, where=part)
            if part in ("glo", "gldo"):
                faces = column.dataset.startswith("celeba") and part == "glo" and method != "glann"
                assert config.loss == ("lap1+l2" if faces else "perceptual+l2"), (name, row.label, column.key)
            codes = config.components if part == "pca" else config.latent_dim
            assert codes == 100, (name, row.label)
            seen.add(part)
    assert seen == {"glo", "gldo", "vae", "wae_mmd", "dcgan", "wgan_gp", "began", "pca"}


def test_a_row_may_be_another_method_on_a_data_set(record):
    faces = {"dataset": "celeba64_crop160", "protocol": {"id": "celeba64_crop160/a", "evaluator": "a", "n": 9}}
    runs = [record("glo_lap", 0, {"fid": 60.0}, **faces), record("glo_p", 0, {"fid": 50.0}, **faces)]
    text = table("gldo-table1", "celeba64_crop160", "ci", runs)
    assert "56.0 ± 0.6 | 60.000 ± –" in text
    assert "GLO: ours is glo_lap" in text
    mnist = [record("glo_lap", 0, {"fid": 60.0}), record("glo_p", 0, {"fid": 50.0})]
    assert "50.4 ± 0.4 | 50.000 ± –" in table("gldo-table1", "mnist5k", "ci", mnist)


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
    runs = [record("gldo_p", s, {"fid": 10.0 + s, "is": 9.0}) for s in range(3)]
    runs += [record("glo_p", s, {"fid": 10.0 + 2 * s - s * s, "is": 8.0}) for s in range(3)]
    runs += [record("vae", s, {"fid": 50.0 + s, "is": 8.0}) for s in range(3)]
    lines = table("gldo-table1", "mnist5k", "ci", runs).splitlines()
    (gldo,) = [line for line in lines if line.startswith("GLDO ")]
    assert gldo.split()[1:-1] == [
        "(gldo_p)", "2.81", "|", "9.00", "±", "0.00*", "23.2", "±", "0.2", "|", "11.000", "±", "2.484*",
    ]  # fmt: skip
    assert any(line.startswith("GLO ") and "10.333 ± 1.434* " in line for line in lines)
    assert any(line.startswith("VAE ") and "51.000 ± 2.484  " in line for line in lines)


def test_a_heading_says_what_stands_for_what_and_under_which_conditions(record):
    text = " ".join(table("gldo-table1", "mnist5k", "ci", [record()]).split())
    assert "Ours: mnist5k stands for mnist; budget ci, 64,000 images a stage; width 0.5; seed 0" in text
    assert "Published: Optimizing Latent Distributions for Non-Adversarial Generative Networks, Table 1." in text
    assert "protocol mnist5k/mnist-1a2b3c4d/n1000/rec128x200: evaluator mnist" in text
    assert "Fashion" not in table("gldo-table1", "mnist5k", "ci", [record()]).split("method")[1].split("\n")[0]


def test_a_number_of_the_text_that_the_table_contradicts_is_shown(record):
    text = " ".join(table("gldo-table5", "mnist5k", "ci", [record()]).split())
    assert "for the FID of GLO-TSV on MNIST the text gives 40.2, the table 42.6" in text
    assert "the text gives" not in table("gldo-table5", "fashion_mnist", "ci", [])


def test_a_row_is_a_method_with_its_settings_and_nothing_else_set(record):
    fc = load_table("otgen-table-is").rows[1].settings
    runs = [
        record("ae_ot_gen", 0, {"is": 7.0, "fid": 1.0}),
        record("ae_ot_gen[ae.network=fc]", 1, {"is": 8.0, "fid": 1.0}, overrides=fc),
        record("ae_ot_gen", 2, {"is": 9.0, "fid": 1.0}, config=fc),  # as defaults
        record("ae_ot_gen[x]", 3, {"is": 5.0, "fid": 1.0}, config=fc, overrides={"ot_gen": {"diversity": 1.0}}),
    ]
    text = " ".join(table("otgen-table-is", "mnist5k", "ci", runs).split())
    assert "AE-OTgen (ae_ot_gen) 9.52 | 8.50 ± 6.35" in text
    assert (
        "AE-OTgen, AE-OTtrans, AE-OT: ours with ae.network=fc, ae.squash=true, ae.latent_dim=8, ae.init_std=null"
        in text
    )


def test_columns_of_one_data_set_differ_by_what_they_ask_of_a_method(record):
    cifar = {"dataset": "cifar10", "protocol": {"id": "cifar10/a", "evaluator": "a", "checksum": "b", "n": 9}}
    ask = load_table("aeotgan-table1")
    (row,) = [row for row in ask.rows if row.label == "WGAN-GP"]
    runs = [
        record("wgan_gp[x]", 0, {"fid": 20.0 + i}, overrides=ask.asked(row, ask.columns[i])[1], **cifar) for i in (0, 1)
    ]
    (line,) = [x for x in table("aeotgan-table1", "cifar10", "ci", runs).splitlines() if x.startswith("WGAN-GP  ")]
    assert " ".join(line.split()) == "WGAN-GP 40.2 | 20.000 ± – 19.6 | 21.000 ± – –"


def test_without_a_data_set_a_stand_in_is_shown_where_the_papers_own_was_not_run(record):
    runs = [record("gldo_p"), record("gldo_p", dataset="mnist_10k", metrics={"fid": 5.0})]
    text = table("gldo-table6", None, None, runs)
    assert "Ours: mnist5k stands for mnist" in text
    assert "23.1 | 10.000 ± –" in text
    assert "Ours: mnist_10k stands for mnist" in table("gldo-table6", None, None, runs[1:])


def test_constants_stand_beside_what_our_records_were_trained_with(record):
    runs = [record("ae_ot_gen", config={"ot_gen": {"diversity": 0.0}, "ae": {"latent_dim": None}})]
    (found,) = json.loads(table("otgen-hparams-inline", None, None, runs, "json"))
    rows = {row["constant"]: row for row in found["rows"]}
    assert (rows["lambda_div.mnist"]["value_published"], rows["lambda_div.mnist"]["ours"]) == (0, "0.0")
    assert rows["latent_mnist"]["ours"] == "by rule"
    assert rows["lambda_div.fashion"]["ours"] == rows["steps_2d"]["ours"] == "–"


def test_one_seed_has_no_interval(record):
    assert "27.1 | 21.00 ± –" in table(
        "gldo-table2", "mnist5k", "ci", [record("gldo_p", metrics={"psnr": 21.0, "fid": 1.0})]
    )


def test_what_was_not_run_is_a_dash_with_the_command_that_runs_it(record):
    runs = [record("gldo_p", metrics={"psnr": 21.0, "fid": 1.0})]
    text = " ".join(table("gldo-table2", "mnist5k", "ci", runs).split())
    rows = "PCA, WAE, GAN, GLO, GLO_L2, GLDO_L2, WAE_own"
    assert f"– not run for {rows}: make table TABLE=gldo-table2 RUN=1 BUDGET=ci DATASET=mnist5k" in text
    assert "GAN: the paper does not say which GAN this row is; ours is DCGAN" in text
    failed = record("glo_p", status="failed", reason="no memory")
    assert "– for GLO: failed on mnist5k at budget ci: no memory" in table("gldo-table2", "mnist5k", "ci", [failed])


def test_without_a_data_set_every_column_stands_beside_its_own(record):
    protocol = {"id": "mnist/inception/n10000", "evaluator": "inception", "checksum": "ab" * 32, "n": 10000}
    runs = [record("gldo_p", dataset="mnist", metrics={"fid": 20.0}, protocol=protocol), record("gldo_p")]
    text = table("gldo-table1", None, None, runs)
    assert "23.2 ± 0.2 | 20.000 ± –" in text
    assert "stands for" not in text
    assert "Nothing was run on: fashion_mnist, cifar10, celeba64_crop160, lsun_bedroom64" in text


def test_unasked_the_suites_own_data_set_and_budget_are_shown_where_they_were_run(record):
    large = {"budget": "short", "images_budget": 128000}
    points = {"dataset": "moons", "protocol": {"id": "moons/n1000x250", "n": 1000, "repeats": 250}}
    runs = [record("glo", 0, {"fid": 9.0}), record("glo", 0, {"fid": 8.0}, **large)]
    runs.append(record("ae_ot_gen", 0, {"ot_divergence": 0.08}, **points, **large))
    own = render_published("gldo-table1", None, None, runs, "text")
    assert "Ours: mnist5k stands for mnist; budget ci" in own
    assert "| 9.000" in own
    points_table = render_published("otgen-table-2d", None, None, runs, "text")  # the default set has no place here
    assert "Ours: moons; budget short" in points_table
    assert "Nothing was run on: circles" in points_table


def test_two_protocols_get_a_column_each(record, raw):
    other = raw()["protocol"] | {"id": "mnist5k/inception/n1000", "evaluator": "inception"}
    runs = [record("gldo_p", metrics={"fid": 10.0}), record("glo_p", metrics={"fid": 90.0}, protocol=other)]
    rows = list(csv.DictReader(io.StringIO(table("gldo-table1", "mnist5k", "ci", runs, "csv"))))
    fids = {
        key: [row[key] for row in rows[:2]] for key in rows[0] if key.startswith("mnist_fid@") and key.count("_") == 1
    }
    assert sorted(fids.values()) == [["", "90.0"], ["10.0", ""]]
    assert "MNIST FID ↓ [b]" in table("gldo-table1", "mnist5k", "ci", runs)


@pytest.mark.parametrize("form", ["text", "md", "csv", "json", "latex"])
def test_every_form_holds_the_published_and_our_number(record, form):
    text = table("gldo-table1", "mnist5k", "ci", [record("gldo_p", metrics={"fid": 12.345})], form)
    assert "23.2" in text
    assert ("12.345" if form in ("csv", "json") else "12.35" if "12.35" in text else "12.34") in text


def test_json_carries_numbers_not_prose(record):
    (found,) = json.loads(table("gldo-table1", "mnist5k", "ci", [record("gldo_p", metrics={"fid": 12.5})], "json"))
    row = next(r for r in found["rows"] if r["method"] == "gldo_p")
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


def test_the_command_lines_entry_points(record, capsys):
    assert render_published("gldo-table1", "mnist5k", "ci", [record()], "text").startswith("gldo-table1: ")
    print_bench([record(), record("data")])
    assert capsys.readouterr().out.startswith("mnist5k, budget ci\n")
