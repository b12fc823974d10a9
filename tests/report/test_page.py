import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest

from latent_ot import leaderboard
from latent_ot.bench.currency import published
from latent_ot.pictures.images import save_grid, save_points
from latent_ot.report import page
from latent_ot.report.groups import by_protocol
from latent_ot.results import load, remove

REPOSITORY = Path(__file__).parents[2]
SLUG = "mnist-1a2b3c4d-n1000-rec128x200"


def generate(root, stored=False):
    return page.generate(root, load(root, stored))


def write(root, stored=False):
    return leaderboard.write(root, load(root, stored))


def stale(root, stored=False):
    return leaderboard.stale(root, load(root, stored))


def files(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def reached(root):
    """The files that a reader gets to from the front page, link by link."""
    found, ahead = set(), ["README.md"]
    while ahead:
        name = ahead.pop()
        if name in found:
            continue
        found.add(name)
        if name.endswith(".md"):
            links = re.findall(r"\]\(([^)\s]+)\)", (root / name).read_text())
            ahead += [unquote(link) for link in links if not link.endswith("/")]
    return found


@pytest.fixture
def rich_store(rich_board):
    """The rich board as a store: every finished run with its pictures."""
    rng = np.random.default_rng(0)
    images, points = rng.integers(0, 256, (64, 8, 8, 1), dtype=np.uint8), rng.standard_normal((50, 2))
    for run in load(rich_board):
        here = rich_board / "results" / run.stem
        if run.status == "done" and run.dataset == "grid25":
            save_points(here.with_name(f"{run.stem}.points.png"), points, points)
        elif run.status == "done":
            for kind in ("samples", "latent") if run.method != "data" else ("samples",):
                save_grid(here.with_name(f"{run.stem}.{kind}.png"), images)
    return rich_board


@pytest.mark.slow
def test_the_repositorys_own_pages_are_fresh(tmp_path):
    boards = REPOSITORY / "leaderboards"
    assert leaderboard.stale(boards, published(boards, tmp_path)) == [], "run `latent-ot leaderboard`"


def test_the_repositorys_leaderboards_stay_small():
    sizes = [path.stat().st_size for path in (REPOSITORY / "leaderboards").rglob("*") if path.is_file()]
    assert sum(sizes) <= 8 * 2**20


def test_an_empty_board_has_a_front_page_and_the_claims(tmp_path):
    assert [p.name for p in write(tmp_path)] == ["README.md", "claims.md"]
    assert "No run is recorded yet" in (tmp_path / "README.md").read_text()
    assert "No record bears on a claim yet" in (tmp_path / "claims.md").read_text()


@pytest.mark.slow
def test_pages_made_anew_from_results_alone_are_the_same_bytes(rich_board):
    write(rich_board)
    before = files(rich_board)
    for path in rich_board.iterdir():
        if path.name != "results":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    write(rich_board)
    assert files(rich_board) == before
    assert {"README.md", "claims.md", "mnist5k.md", "mnist5k.csv", "grid25.md", "grid25.csv"} <= before.keys()


@pytest.mark.slow
def test_a_changed_missing_or_left_over_page_is_stale_and_writing_mends_it(rich_board):
    write(rich_board)
    assert stale(rich_board) == []
    (rich_board / "claims.md").write_text("by hand")
    (rich_board / "grid25.csv").unlink()
    (rich_board / "old.md").write_text("")
    (rich_board / "figures" / "old").mkdir()
    (rich_board / "figures" / "old" / "x.svg").write_text("")
    assert stale(rich_board) == ["claims.md", "figures/old/x.svg", "grid25.csv", "old.md"]
    write(rich_board)
    assert stale(rich_board) == []
    assert not (rich_board / "old.md").exists()


@pytest.mark.slow
def test_a_file_that_no_page_links_is_reported_and_left_alone(rich_board):
    write(rich_board)
    lost = ["notes.txt", "results/mnist5k--gone.png", f"results/mnist5k--gldo--ci--s0--{SLUG}.samples.png"]
    for name in lost:
        (rich_board / name).write_bytes(b"")
    assert stale(rich_board) == [f"{name} (no page links it)" for name in sorted(lost)]
    write(rich_board)
    assert all((rich_board / name).exists() for name in lost)


def test_a_row_is_followed_by_the_machines_that_made_it(board, raw):
    stages = [{"stage": name, "key": "0", "machine": {"device": f"that of {name}"}} for name in ("vae", "evaluate")]
    said = generate(board(raw("vae", stages=stages), raw("glo"), raw("gldo", machine={})))["mnist5k.md"].decode()
    assert "that of vae (vae), that of evaluate (evaluate) ([record](results/mnist5k--vae--" in said
    assert "a processor ([record](results/mnist5k--glo--" in said
    assert "machine not recorded ([record](results/mnist5k--gldo--" in said


@pytest.mark.slow
def test_a_new_record_makes_pages_stale(rich_board):
    write(rich_board)
    remove(rich_board, ["grid25--ae_ot_sd--ci--s0--n1000"])
    assert "grid25.md" in stale(rich_board)


@pytest.mark.slow
def test_whatever_is_published_is_linked_from_the_front_page_and_so_is_a_store(rich_store, tmp_path):
    records = load(rich_store, stored=True)
    write(rich_store, stored=True)
    assert stale(rich_store, stored=True) == []
    chosen = [r for r in records if r.status != "failed"]
    boards = tmp_path / "boards"
    leaderboard.publish(chosen, rich_store, boards)
    assert stale(boards) == []
    there = {name for name in files(boards) if not name.endswith(".lock")}
    assert there == reached(boards)
    assert len([name for name in there if name.endswith(".png")]) == len({(r.dataset, r.method) for r in chosen}) - 1
    assert len([name for name in there if name.startswith("results/") and name.endswith(".json")]) == len(chosen)
    assert {"results/mnist5k.curves.csv.gz", "grid25.csv"} <= there


@pytest.mark.slow
def test_pictures_of_a_store_are_linked_in_full_size_of_a_board_the_small_one(rich_store):
    name = f"results/mnist5k--gldo--ci--s0--{SLUG}"
    full = generate(rich_store, stored=True)["mnist5k.md"].decode()
    assert f"![gldo: samples]({name}.samples.png)" in full
    assert f"![gldo: latent]({name}.latent.png)" in full
    assert f"[record]({name}.json), [samples]({name}.samples.png), [latent]({name}.latent.png)" in full
    assert "reconstructions.png" not in full
    assert b"# Runs of this store" in generate(rich_store, stored=True)["README.md"]
    (rich_store / f"{name}.png").write_bytes(b"")
    small = generate(rich_store)["mnist5k.md"].decode()
    assert re.findall(r"!\[gldo: .*", small) == [f"![gldo: samples]({name}.png)"]
    assert ".samples.png" not in small
    assert f"[samples]({name}.png)" in generate(rich_store)["README.md"].decode()


def test_figures_are_well_formed_undated_and_linked(rich_board):
    pages = generate(rich_board)
    figures = {name: data for name, data in pages.items() if name.endswith(".svg")}
    assert [name.rpartition("--")[2] for name in sorted(figures)] == [
        "gldo-fig4-fashion.svg",
        "prd.svg",
        "training.svg",
    ]
    for name, data in figures.items():
        ElementTree.fromstring(data)
        assert b"dc:date" not in data
        assert name in pages["mnist5k.md"].decode()
        assert b"wgan_gp" in data or b"WGAN-GP" in data


def test_a_csv_column_never_mixes_protocols(board, raw):
    other = raw()["protocol"] | {"id": "mnist5k/inception/n1000"}
    root = board(raw("gldo"), raw("glo", protocol=other))
    head, *rows = generate(root)["mnist5k.csv"].decode().splitlines()
    columns = [
        i
        for i, name in enumerate(head.split(","))
        if name.startswith("fid@") and not name.endswith(("_half", "_seeds"))
    ]
    values = [[row.split(",")[i] for i in columns] for row in rows]
    assert len(columns) == 2
    assert sorted(values) == [["", "10.0"], ["10.0", ""]]


def test_the_front_page_ranks_each_data_set_and_links_its_figures(rich_board):
    front = generate(rich_board)["README.md"].decode()
    assert re.findall(r"^## (.+)", front, re.MULTILINE) == ["Findings", "Tables", "grid25", "mnist5k"]
    assert "| 8 | pca | – |" in front
    assert "[training, ci](figures/mnist5k/ci--mnist-1a2b3c4d-n1000-rec128x200--training.svg)" in front
    assert len(by_protocol(load(rich_board))) == 3


@pytest.mark.slow
def test_a_front_page_edited_by_hand_is_stale(rich_board):
    write(rich_board)
    front = rich_board / "README.md"
    front.write_text(front.read_text().replace("| 2 | glo |", "| 1 | glo |"))
    assert stale(rich_board) == ["README.md"]


@pytest.mark.slow
def test_nothing_that_reads_results_imports_torch_lightning_or_wandb():
    modules = [path.stem for path in Path(page.__file__).parent.glob("[!_]*.py")]
    code = "".join(f"import latent_ot.report.{name}\n" for name in modules)
    code += "import sys, pathlib\nfrom latent_ot.results import load\nroot = pathlib.Path('leaderboards')\n"
    code += "latent_ot.report.page.generate(root, load(root))\n"
    code += "print([m for m in ('torch', 'lightning', 'wandb', 'sklearn') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
