import shutil
from pathlib import Path
from xml.etree import ElementTree

from latent_ot.report.page import generate, stale, write
from latent_ot.report.records import by_protocol, load

REPOSITORY = Path(__file__).parents[2]


def files(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_the_repositorys_own_pages_are_fresh():
    assert stale(REPOSITORY / "leaderboards") == [], "run `latent-ot leaderboard`"


def test_an_empty_board_has_a_front_page_and_the_claims(tmp_path):
    assert [p.name for p in write(tmp_path)] == ["README.md", "claims.md"]
    assert "No run is recorded yet" in (tmp_path / "README.md").read_text()
    assert "No record bears on a claim yet" in (tmp_path / "claims.md").read_text()


def test_pages_made_anew_from_results_alone_are_the_same_bytes(rich_board):
    write(rich_board)
    before = files(rich_board)
    for path in rich_board.iterdir():
        if path.name != "results":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    write(rich_board)
    assert files(rich_board) == before
    assert {"README.md", "claims.md", "mnist5k.md", "mnist5k.csv", "grid25.md", "grid25.csv"} <= before.keys()


def test_a_changed_missing_or_left_over_page_is_stale_and_writing_mends_it(rich_board):
    write(rich_board)
    assert stale(rich_board) == []
    (rich_board / "claims.md").write_text("by hand")
    (rich_board / "grid25.csv").unlink()
    (rich_board / "old.md").write_text("")
    (rich_board / "figures" / "old").mkdir()
    (rich_board / "figures" / "old" / "x.svg").write_text("")
    (rich_board / "notes.txt").write_text("mine")
    assert stale(rich_board) == ["claims.md", "figures/old/x.svg", "grid25.csv", "old.md"]
    write(rich_board)
    assert stale(rich_board) == []
    assert (rich_board / "notes.txt").exists()
    assert not (rich_board / "old.md").exists()


def test_a_new_record_makes_pages_stale(rich_board):
    write(rich_board)
    (rich_board / "results" / "grid25--ae_ot_sd--ci--s0--n1000.json").unlink()
    assert "grid25.md" in stale(rich_board)


def test_pictures_beside_a_record_are_linked_and_absent_ones_are_not(rich_board):
    (rich_board / "results" / "mnist5k--gldo--ci--s0--mnist-1a2b3c4d-n1000-rec128x200.samples.png").write_bytes(b"")
    page = generate(rich_board)["mnist5k.md"].decode()
    assert "![gldo: samples](results/mnist5k--gldo--ci--s0--mnist-1a2b3c4d-n1000-rec128x200.samples.png)" in page
    assert "reconstructions.png" not in page


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
    assert front.count("\n## ") == 2
    assert "| 8 | pca | – |" in front
    assert "[training, ci](figures/mnist5k/ci--mnist-1a2b3c4d-n1000-rec128x200--training.svg)" in front
    assert len(by_protocol(load(rich_board))) == 3


def test_a_front_page_edited_by_hand_is_stale(rich_board):
    write(rich_board)
    page = rich_board / "README.md"
    page.write_text(page.read_text().replace("| 2 | glo |", "| 1 | glo |"))
    assert stale(rich_board) == ["README.md"]
