import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latent_ot.errors import InputError
from latent_ot.report.records import by_protocol, dump, load, parse, select, significant, write_record


def test_dump_then_parse_then_dump_gives_the_same_bytes(raw):
    data = dump(
        raw(curves={"fid": [[64, 3.5]], "prd": {"precision": [1.0], "recall": [0.5]}, "loss": {"l": [[64, 0.1]]}})
    )
    assert dump(parse(data.decode(), "x")) == data


def test_keys_are_sorted_lists_stand_on_one_line_and_the_file_ends_in_a_newline(raw):
    text = dump(raw(curves={"fid": [[64, 3.5], [128, 2.5]]})).decode()
    assert text.endswith("}\n")
    assert '"fid": [[64.0, 3.5], [128.0, 2.5]]' in text
    assert list(json.loads(text)) == sorted(json.loads(text))


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12))
def test_rounding_keeps_eight_digits_and_is_idempotent(x):
    assert significant(significant(x)) == significant(x)
    assert math.isclose(significant(x), x, rel_tol=1e-7, abs_tol=0.0)


def test_numpy_numbers_and_arrays_are_written_as_plain_numbers(raw):
    record = raw(metrics={"fid": np.float32(0.1)}, curves={"prd": {"precision": np.ones(2), "recall": np.zeros(2)}})
    read = parse(dump(record).decode(), "x")
    assert read.metrics["fid"] == 0.1
    assert read.curves.prd is not None
    assert read.curves.prd.precision == [1.0, 1.0]


def test_a_metric_that_is_not_finite_is_refused_by_name_but_a_diverged_loss_is_kept_as_nothing(raw):
    with pytest.raises(InputError, match=r"metrics\.fid' = nan .*reasons"):
        dump(raw(metrics={"fid": math.nan}))
    read = parse(dump(raw(curves={"loss": {"d": [[64, 1.0], [128, math.inf]]}})).decode(), "x")
    assert read.curves.loss["d"] == [(64, 1.0), (128, None)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": "0"}, r"key 'seed' = '0'"),
        ({"metrics": {"fid": "low"}}, r"key 'metrics\.fid' = 'low'"),
        ({"status": "fine"}, r"key 'status' = 'fine'.*'done', 'failed', 'diverged' or 'declined'"),
        ({"metrik": {}}, r"key 'metrik' is unknown; nearest: metrics"),
        ({"schema": 2}, r"key 'schema' = '2'"),
        ({"protocol": {"id": "x"}}, r"key 'protocol\.n' is missing"),
        ({"curves": {"fid": [[1]]}}, r"key 'curves\.fid\.0"),
        ({"protocol": None}, r"states its protocol"),
        ({"status": "failed"}, r"failed states the reason"),
    ],
)
def test_a_malformed_file_is_one_line_naming_the_file_and_the_key(board, raw, change, message):
    root = board(raw())
    (root / "results" / "bad.json").write_text(json.dumps(raw() | change))
    with pytest.raises(InputError, match=message) as error:
        load(root)
    assert "bad.json" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_key_truncated_json_and_a_foreign_name_are_named(board, raw):
    root = board()
    path = root / "results" / "mnist5k--gldo--ci--s0.json"
    values = raw()
    del values["method"]
    for text, message in (
        (json.dumps(values), "key 'method' is missing"),
        (dump(raw()).decode()[:100], "is not valid JSON"),
        (dump(raw(seed=1)).decode(), "holds the run 'mnist5k--gldo--ci--s1'"),
        (b"\xff", "cannot be read"),
    ):
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(InputError, match=message):
            load(root)


def test_an_absent_folder_holds_no_records(tmp_path):
    assert load(tmp_path / "nowhere") == []


def test_a_record_is_written_whole_or_not_at_all(tmp_path, raw):
    path = tmp_path / "deep" / "mnist5k--gldo--ci--s0.json"
    write_record(path, raw())
    assert path.read_bytes() == dump(raw())
    with pytest.raises(InputError):
        write_record(path, raw(metrics={"fid": math.inf}))
    assert path.read_bytes() == dump(raw())
    assert list(path.parent.iterdir()) == [path]


def test_select_agrees_with_every_argument(record):
    runs = [record("gldo", 0), record("gldo", 1), record("glo", 0, budget="short")]
    assert select(runs, method="gldo", seed=1) == [runs[1]]
    assert select(runs, budget="short") == [runs[2]]
    assert select(runs, dataset="mnist") == []


def test_runs_of_two_protocols_never_share_a_group_and_the_yardstick_joins_by_protocol(record, raw):
    other = raw()["protocol"] | {"id": "mnist5k/inception/n1000"}
    a, b, c = record("gldo"), record("glo", protocol=other), record("gldo", budget="short", images_budget=192000)
    data, failed = record("data"), record("vae", status="failed", reason="killed", protocol=None)
    groups = by_protocol([a, b, c, data, failed])
    members = {key: [r.method for r in group] for key, group in groups.items()}
    assert members == {
        ("mnist5k", c.protocol.id, "short"): ["gldo", "data"],
        ("mnist5k", "mnist5k/inception/n1000", "ci"): ["glo", "vae"],
        ("mnist5k", a.protocol.id, "ci"): ["gldo", "data", "vae"],
    }
