import gzip
import json
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latent_ot.errors import InputError
from latent_ot.record import OtherForm, checked, dump, parse, significant
from latent_ot.report.groups import by_protocol
from latent_ot.report.tables import render_published as table
from latent_ot.results import add, load, merge, remove

CURVES = {"fid": [[64, 3.5]], "prd": {"precision": [1.0], "recall": [0.5]}, "loss": {"l": [[64, 0.1], [128, None]]}}
STEM = "mnist5k--gldo--ci--s0--mnist-1a2b3c4d-n1000-rec128x200"


def test_what_is_written_is_read_again_and_written_as_the_same_bytes(raw, tmp_path):
    (path,) = add(tmp_path, [raw(curves=CURVES)])
    (read,) = load(tmp_path)
    assert path.stem == read.stem == STEM
    assert read == checked(raw(curves=CURVES))
    assert read.curves == checked(raw(curves=CURVES)).curves
    assert read.curves.series("loss.l") == [(64.0, 0.1), (128.0, None)]
    assert read.curves.prd.recall == [0.5]
    assert (read.outdated, read.stored) == ((), False)
    assert dump(read) == path.read_bytes() == dump(raw(curves=CURVES))


def test_keys_are_sorted_lists_stand_on_one_line_and_the_file_ends_in_a_newline(raw):
    text = dump(raw(curves=CURVES, config={"gldo": {"sizes": [3, 2]}})).decode()
    assert text.endswith("}\n")
    assert '"sizes": [3, 2]' in text
    assert list(json.loads(text)) == sorted(json.loads(text))
    assert json.loads(text).keys().isdisjoint({"curves", "outdated", "stored"})


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12))
def test_rounding_keeps_eight_digits_and_is_idempotent(x):
    assert significant(significant(x)) == significant(x)
    assert math.isclose(significant(x), x, rel_tol=1e-7, abs_tol=0.0)


def test_numpy_numbers_and_arrays_are_written_as_plain_numbers(raw):
    record = raw(metrics={"fid": np.float32(0.1)}, curves={"prd": {"precision": np.ones(2), "recall": np.zeros(2)}})
    read = checked(record)
    assert read.metrics["fid"] == 0.1
    assert read.curves.prd is not None
    assert read.curves.prd.precision == [1.0, 1.0]


def test_a_metric_that_is_not_finite_is_refused_by_name_but_a_diverged_loss_is_kept_as_nothing(raw):
    with pytest.raises(InputError, match=r"metrics\.fid' = nan .*reasons"):
        dump(raw(metrics={"fid": math.nan}))
    read = checked(raw(curves={"loss": {"d": [[64, 1.0], [128, math.inf]]}}))
    assert read.curves.loss["d"] == [(64, 1.0), (128, None)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": "0"}, r"key 'seed' = '0'"),
        ({"metrics": {"fid": "low"}}, r"key 'metrics\.fid' = 'low'"),
        ({"status": "fine"}, r"key 'status' = 'fine'.*'done', 'failed', 'diverged' or 'declined'"),
        ({"metrik": {}}, r"key 'metrik' is unknown; nearest: metrics"),
        ({"schema": 1}, r"schema 1 is the form before versions; allowed: 2$"),
        ({"schema": 3}, r"schema 3; allowed: 2; a newer latent_ot wrote it"),
        ({"schema": 99, "later": 1}, r"schema 99; allowed: 2; a newer latent_ot wrote it"),
        ({"schema": "x"}, r"schema 'x'; allowed: 2; a newer latent_ot wrote it"),
        ({"threads": 0}, r"key 'threads' = '0'"),
        ({"outdated": []}, r"key 'outdated' is unknown"),
        ({"stored": True}, r"key 'stored' is unknown"),
        ({"curves": {}}, r"key 'curves' is unknown"),
        ({"protocol": {"id": "x"}}, r"key 'protocol\.n' is missing"),
        ({"protocol": None}, r"states its protocol"),
        ({"status": "failed"}, r"failed states the reason"),
    ],
)
def test_a_malformed_file_is_one_line_naming_the_file_and_the_key(board, raw, change, message, capsys):
    root = board(raw())
    (root / "results" / "bad.json").write_text(json.dumps(json.loads(dump(raw())) | change))
    if "schema" in change:
        with pytest.raises(OtherForm, match=message) as error:
            load(root)
        said = f"{error.value}\n"
    else:
        assert [record.method for record in load(root)] == ["gldo"]
        said = capsys.readouterr().err
    assert re.search(message, said.replace(": left out", ""), re.MULTILINE)
    assert str(root / "results" / "bad.json") in said
    assert said.count("\n") == 1


def test_a_curve_of_another_form_is_named(raw):
    with pytest.raises(InputError, match=r"record of 'gldo': key 'curves\.fid\.0"):
        dump(raw(curves={"fid": [[1]]}))


def test_a_missing_key_truncated_json_and_a_foreign_name_are_named(board, raw, capsys):
    root = board(raw("glo"))
    path = root / "results" / f"{STEM}.json"
    values = json.loads(dump(raw()))
    del values["method"]
    for text, message in (
        (json.dumps(values), "key 'method' is missing"),
        (dump(raw()).decode()[:100], "is not valid JSON"),
        (dump(raw(seed=1)).decode(), "holds the run 'mnist5k--gldo--ci--s1--mnist"),
        (b"\xff", "is damaged .*codec"),
    ):
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        assert [record.method for record in load(root)] == ["glo"]
        assert re.fullmatch(f".*{path.name}.*{message}.*: left out\n", capsys.readouterr().err)


def test_an_absent_folder_holds_no_records(tmp_path):
    assert load(tmp_path / "nowhere") == []


def test_records_are_written_all_or_none_and_leave_nothing_else_behind(tmp_path, raw):
    assert add(tmp_path, []) == []
    (path,) = add(tmp_path, [raw()])
    with pytest.raises(InputError):
        add(tmp_path, [raw("glo"), raw(metrics={"fid": math.inf})])
    assert path.read_bytes() == dump(raw())
    assert sorted(p.name for p in path.parent.iterdir()) == [".lock", path.name]


def test_a_record_edited_by_hand_is_marked_in_tables_not_refused(tmp_path, raw):
    paths = add(tmp_path, [raw("gldo_p", curves=CURVES), raw("glo", curves=CURVES), raw("vae"), raw("pca")])
    edited, laid_out, bare, _ = paths
    edited.write_text(edited.read_text().replace('"fid": 10.0', '"fid": 9.0'))
    laid_out.write_text(json.dumps(json.loads(laid_out.read_text())))  # the same values in another layout
    bare.write_text("".join(line for line in bare.open() if '"checksum": "1a2b' in line or '"checksum"' not in line))
    found = {r.method: r for r in load(tmp_path)}
    assert {m: r.outdated for m, r in found.items()} == {
        "gldo_p": ("edited: its checksum differs",), "glo": (), "vae": ("edited: its checksum is missing",), "pca": (),
    }  # fmt: skip
    text = " ".join(table("gldo-table1", "mnist5k", "ci", list(found.values())).split())
    assert "23.2 ± 0.2 | 9.000 ± –*†" in text
    assert "†: edited: its checksum differs (gldo_p seed 0)" in text


@pytest.mark.parametrize(("old", "new"), [("0.1\n", "0.2\n"), (f"{STEM},fid,64,3.5\n", ""), ("", f"{STEM},kl,64,1\n")])
def test_a_curve_edited_by_hand_marks_its_record_alone(tmp_path, raw, old, new):
    add(tmp_path, [raw(curves=CURVES), raw("vae", curves=CURVES)])
    path = tmp_path / "results" / "mnist5k.curves.csv.gz"
    text = gzip.decompress(path.read_bytes()).decode()
    text = text.replace(old, new, 1) if old else text + new
    path.write_bytes(gzip.compress(text.encode()))
    assert [bool(r.outdated) for r in load(tmp_path)] == [True, False]


def test_two_protocols_and_two_thread_counts_of_one_run_are_files_of_their_own(tmp_path, raw):
    points = {"dataset": "moons", "protocol": {"id": "moons/n1000x250", "n": 1000, "repeats": 250}}
    other = raw()["protocol"] | {"id": "mnist5k/inception-0a0b0c0d/n1000/rec128x200"}
    lost = {"status": "failed", "reason": "killed", "protocol": None}
    paths = add(tmp_path, [raw(), raw(protocol=other), raw(threads=2), raw("pca", **points), raw("vae", **lost)])
    assert [path.stem for path in paths] == [
        STEM,
        "mnist5k--gldo--ci--s0--inception-0a0b0c0d-n1000-rec128x200",
        "mnist5k--gldo--ci--s0--t2--mnist-1a2b3c4d-n1000-rec128x200",
        "moons--pca--ci--s0--n1000x250",
        "mnist5k--vae--ci--s0",
    ]
    assert len(load(tmp_path)) == 5


def test_a_removed_record_takes_its_curves_and_pictures_along(tmp_path, raw):
    odd = "gldo[eps=3.0,lr=0.1]"
    paths = add(tmp_path, [raw(curves=CURVES), raw(odd, curves=CURVES), raw("vae")])
    for path in paths:
        path.with_name(f"{path.stem}.png").write_bytes(b"")
        path.with_name(f"{path.stem}.samples.png").write_bytes(b"")
    with pytest.raises(InputError, match=f"record '{STEM}x' is not in .*; nearest: {STEM}"):
        remove(tmp_path, [f"{STEM}x", paths[2].stem])
    remove(tmp_path, [paths[1].stem])
    assert [r.method for r in load(tmp_path)] == ["gldo", "vae"]
    text = gzip.decompress((tmp_path / "results" / "mnist5k.curves.csv.gz").read_bytes()).decode()
    assert "eps" not in text
    assert STEM in text
    remove(tmp_path, [paths[0].stem])
    assert sorted(p.name for p in (tmp_path / "results").iterdir()) == [
        ".lock", *(f"{paths[2].stem}.{end}" for end in ("json", "png", "samples.png")),
    ]  # fmt: skip


def test_of_two_places_the_record_that_is_not_outdated_counts_then_the_stores(record):
    def run(seed, value, *outdated):
        return record("gldo", seed, {"fid": value}).model_copy(update={"outdated": outdated})

    old = "gldo is version 2 now"
    published = [run(0, 1.0), run(1, 1.0, old), run(2, 1.0), run(3, 1.0, old), run(4, 1.0), run(6, 1.0)]
    stored = [run(0, 2.0), run(1, 2.0), run(2, 2.0, old), run(3, 2.0, old), run(5, 2.0), run(6, 1.0)]
    found = {r.seed: (r.metrics["fid"], r.stored) for r in merge(published, stored)}
    assert found == {
        0: (2.0, True), 1: (2.0, True), 2: (1.0, False), 3: (2.0, True), 4: (1.0, False), 5: (2.0, True),
        6: (1.0, False),  # what was published as it lies in the store is published
    }  # fmt: skip
    assert [r.stem for r in merge(published, stored)] == sorted(r.stem for r in merge(published, stored))
    assert merge(published, []) == published
    edited = run(0, 1.0, "edited: its checksum differs")
    assert merge([edited], [run(0, 1.0)])[0].outdated == ()


def test_runs_of_two_protocols_never_share_a_group_and_the_yardstick_joins_by_protocol(record, raw):
    other = raw()["protocol"] | {"id": "mnist5k/inception/n1000"}
    a, b, c = record("gldo"), record("glo", protocol=other), record("gldo", budget="short", images_budget=192000)
    data, failed = record("data"), record("vae", status="failed", reason="killed", protocol=None)
    groups = by_protocol([a, b, c, data, failed])
    members = {key: [r.method for r in group] for key, group in groups.items()}
    assert members == {
        ("mnist5k", c.protocol.id, "short", 1, 1): ["gldo", "data"],
        ("mnist5k", "mnist5k/inception/n1000", "ci", 1, 1): ["glo", "vae"],
        ("mnist5k", a.protocol.id, "ci", 1, 1): ["gldo", "data", "vae"],
    }


def test_runs_on_two_devices_are_other_runs_and_those_on_one_are_written_as_ever(record):
    one, two = record("glo", 0), record("glo", 0, threads=4, devices=2)
    assert '"devices"' not in dump(one).decode()
    assert parse(dump(two).decode(), "here").devices == 2
    assert (two.at, two.stem) == ("ci, 4 threads, 2 devices a run", one.stem.replace("--s0--", "--s0--t4--d2--"))
    assert len(by_protocol([one, two])) == 2
    with pytest.raises(InputError, match="key 'devices' = '0'"):
        record(devices=0)


def test_a_machine_for_each_stage_is_kept_and_a_record_of_one_machine_is_written_as_ever(record):
    one = record()
    assert '"machine"' not in dump(one).decode().partition('"stages"')[2].partition("\n")[0]
    assert one.machines == [("", one.machine)]
    trained, scored = {"device": "a GPU", "cores": 8, "threads": 1}, {"device": "a processor", "cores": 2, "threads": 1}
    stages = [{"stage": "vae", "key": "0", "machine": trained}, {"stage": "evaluate", "key": "1", "machine": scored}]
    again = parse(dump(record("vae", stages=stages, machine=scored)).decode(), "here")
    assert again.machines == [("vae", trained), ("evaluate", scored)]
    with pytest.raises(InputError, match=r"key 'stages\.0\.machine\.cores"):
        record(stages=[{"stage": "vae", "key": "0", "machine": {"cores": []}}])


def test_runs_with_two_threads_are_other_runs_that_share_the_yardstick(record):
    one, two, data = record("glo", 0), record("glo", 1, threads=2), record("data")
    lost = record("vae", threads=2, status="failed", reason="killed", protocol=None)
    groups = by_protocol([one, two, data, lost])
    assert {(key.at, key.threads): [r.method for r in group] for key, group in groups.items()} == {
        ("ci", 1): ["glo", "data"], ("ci, 2 threads", 2): ["glo", "vae", "data"],
    }  # fmt: skip


def test_intervals_and_yardsticks_are_kept_and_a_record_without_is_written_as_ever(record):
    ends = {"fid": [9.5, 10.5]}
    found = record(intervals=ends, yardsticks={"rebuilt": {"metrics": {"fid": 3.0}, "intervals": {"fid": [2.0, 4.0]}}})
    again = parse(dump(found).decode(), "here")
    assert again.half("fid") == 0.5
    assert again.half("is") is None
    assert again.yardstick("rebuilt").metrics == {"fid": 3.0}
    assert again.yardstick("rebuilt").half("fid") == 1.0
    assert again.yardstick("training") is None
    text = dump(record()).decode()
    assert not any(f'"{name}"' in text for name in ("intervals", "yardsticks", "copying"))
    with pytest.raises(InputError, match=r"key 'intervals\.fid'"):
        record(intervals={"fid": [1.0]})
    with pytest.raises(InputError, match="key 'copying' is unknown"):
        parse(json.dumps({**json.loads(text), "copying": True}), "here")
