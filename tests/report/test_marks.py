from latent_ot.report.marks import marks
from latent_ot.report.ranking import bench_table
from latent_ot.report.text import render


def curve(*values):
    shares = (1 / 8, 1 / 4, 1 / 2, 1.0)
    return {"fid": [[64000 * share, value] for share, value in zip(shares, values, strict=True)]}


def names(record):
    return [mark.name for mark in marks(record)]


def test_a_training_whose_fid_still_fell_by_more_than_a_fifth_was_cut_off(record):
    assert names(record(curves=curve(40, 20, 10, 7.9))) == ["cut off"]
    assert names(record(curves=curve(40, 20, 10, 8.1))) == []
    assert names(record(curves=curve(5, 6, 7, 8))) == []
    assert names(record()) == []  # nothing followed it


def test_samples_that_are_one_image_bear_the_mark_however_their_fid_went(record):
    assert names(record(curves=curve(40, 40, 40, 40), facts={"collapsed": True})) == ["cut off"]


def test_a_mark_stands_behind_the_figures_that_it_concerns_in_every_form(record):
    runs = [record("slow", metrics={"fid": 7.0, "is": 5.0}, curves=curve(40, 20, 10, 7)), record("done")]
    (grid,) = bench_table(runs)
    assert next([c.signs for c in row] for row in grid.rows if row[1].text == "slow")[2:4] == ["‡", ""]
    for form, shown in {"text": "7.000*‡ ", "md": "**7.000**‡ ", "latex": r"\textbf{7.000}$^\ddagger$ "}.items():
        assert shown in render([grid], form)
        assert "‡: training was cut off rather than finished" in render([grid], form)
    assert "cut off" in render([grid], "csv")
    assert '"marks": "cut off"' in render([grid], "json")


def judged(*values):
    shares = (1 / 8, 1 / 4, 1 / 2, 1.0)[-len(values) :]
    return {"discriminator_auc": [[64000 * share, value] for share, value in zip(shares, values, strict=True)]}


def test_an_adversary_that_never_told_images_from_samples_took_no_part(record):
    assert names(record(curves=judged(0.51, 0.45, 0.5, 0.54))) == ["discriminator at chance"]
    assert names(record(curves=judged(0.59, 0.41, 0.5, 0.5))) == ["discriminator at chance"]


def test_a_finished_gan_is_at_chance_too_and_one_whose_adversary_is_fooled_is_not(record):
    assert names(record(curves=judged(0.98, 0.8, 0.6, 0.5))) == []
    assert names(record(curves=judged(0.5, 0.5, 0.3, 0.5))) == []
    assert names(record(curves=judged(0.5, 0.5, 0.5, 0.9))) == []


def test_what_was_not_followed_bears_no_mark(record):
    assert names(record(metrics={"fid": 1.0, "discriminator_auc": 0.5})) == []
    assert names(record(curves=judged(0.5))) == []
