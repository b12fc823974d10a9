from latent_ot.metrics.quality import Region, Report, Row
from latent_ot.report.quality import quality_grid
from latent_ot.report.text import to_text

ROWS = (Row("a.png", 0.5, 0.61, True), Row("b.png", 2.0, 0.14, True), Row("c.png", 5.0, 0.007, False))


def report(rows=ROWS, **changes):
    return Report(**{"method": "iwgan", "dataset": "mnist5k", "level": 0.05, "region": Region(3.0, 500, 0.046, 500),
                     "images": rows, **changes})  # fmt: skip


def test_the_table_names_every_image_and_the_outliers():
    text = to_text(quality_grid(report(unreadable=("d.txt",))))
    lines = text.splitlines()
    assert [line.split()[0] for line in lines if ".png " in line] == ["a.png", "b.png", "c.png"]
    assert next(line for line in lines if line.startswith("c.png")).split() == ["c.png", "5.000", "0.007", "no"]
    assert "error <= 3.000, 0.95 of 500 held-out images; of 500 others it leaves out 0.046" in text
    assert "1 outliers: c.png" in text
    assert "unreadable: d.txt" in text
    assert "0 outliers\n" in to_text(quality_grid(report(ROWS[:2])))


def test_a_program_reads_the_same():
    data = report().data()
    assert data["images"][2] == {"file": "c.png", "error": 5.0, "score": 0.007, "inside": False}
    assert data["outliers"] == ["c.png"]
    assert data["level"] == 0.05
    assert data["region"] == {"threshold": 3.0, "fitted": 500, "reached": 0.046, "tested": 500}
