"""The table of curves: the same bytes for the same content, whoever writes it and in whatever order."""

import gzip
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latent_ot.curve_table import Curves, from_rows, to_rows
from latent_ot.record import dump, significant
from latent_ot.results import add, load

FINITE = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12).map(significant)
SERIES = st.lists(st.tuples(FINITE, st.none() | FINITE), min_size=1, max_size=5)
NAMES = st.text("abc_.,\" '", min_size=1).filter(lambda name: not name.startswith(("loss", "prd")))


def followed(value=0.1):
    return {"loss": {"kl": [[64, value], [128, None]]}, "fid": [[64, 3.5]]}


def path_of(root: Path) -> Path:
    return root / "results" / "mnist5k.curves.csv.gz"


@given(st.dictionaries(NAMES, SERIES), st.dictionaries(NAMES, SERIES), st.none() | st.lists(FINITE, min_size=1))
def test_rows_hold_what_curves_hold(metrics, loss, prd):
    sides = prd and {"precision": prd, "recall": prd[::-1]}
    curves = Curves.model_validate({**metrics, "loss": loss, "prd": sides})
    assert from_rows(to_rows("a,b", curves)) == curves


def test_the_table_is_plain_csv_sorted_by_record_and_curve(tmp_path, raw):
    prd = {"prd": {"precision": [1.0, 0.25], "recall": [0.0, 1.0]}}
    add(tmp_path, [raw("vae", curves=followed(2e7)), raw("gldo[a=1,b=2]", curves=followed(1e-7) | prd)])
    slug = "ci--s0--mnist-1a2b3c4d-n1000-rec128x200"
    one, two = f'"mnist5k--gldo[a=1,b=2]--{slug}"', f"mnist5k--vae--{slug}"
    assert gzip.decompress(path_of(tmp_path).read_bytes()).decode().splitlines() == [
        "record,curve,x,y",
        f"{one},fid,64,3.5",
        f"{one},loss.kl,64,1e-07",
        f"{one},loss.kl,128,",
        f"{one},prd.precision,0,1",
        f"{one},prd.precision,1,0.25",
        f"{one},prd.recall,0,0",
        f"{one},prd.recall,1,1",
        f"{two},fid,64,3.5",
        f"{two},loss.kl,64,20000000",
        f"{two},loss.kl,128,",
    ]


def test_its_bytes_do_not_depend_on_the_order_of_writing_nor_on_what_was_replaced(tmp_path, raw):
    runs = [raw(m, s, curves=followed(s + math.pi)) for m in ("glo", "vae", "pca") for s in range(2)]
    add(tmp_path / "a", runs)
    for run in reversed(runs):
        add(tmp_path / "b", [run | {"curves": followed(7.0)}])
        add(tmp_path / "b", [run])
    assert path_of(tmp_path / "a").read_bytes() == path_of(tmp_path / "b").read_bytes()
    assert [r.curves for r in load(tmp_path / "a")] == [r.curves for r in load(tmp_path / "b")]


def test_a_new_record_leaves_the_bytes_of_the_others_as_they_were(tmp_path, raw):
    add(tmp_path, [raw(m, curves=followed()) for m in ("glo", "vae")])
    before = path_of(tmp_path).read_bytes()
    add(tmp_path, [raw("pca", curves=followed())])
    after = path_of(tmp_path).read_bytes()
    start = next(i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b)
    assert start > len(before) // 3
    assert after.endswith(before[start + 40 :])


def test_a_table_packed_again_as_one_stream_is_read_and_added_to(tmp_path, raw):
    runs = [raw(m, curves=followed()) for m in ("glo", "pca", "vae")]
    add(tmp_path, runs)
    before = path_of(tmp_path).read_bytes()
    head, *rows = gzip.decompress(before).decode().splitlines(keepends=True)
    path_of(tmp_path).write_bytes(gzip.compress("".join([head, *rows[::2], *rows[1::2]]).encode()))
    assert not any(r.curves.series("loss.kl") == [] for r in load(tmp_path))
    path_of(tmp_path).write_bytes(gzip.compress("".join([head, *rows]).encode()))
    assert [r.outdated for r in load(tmp_path)] == [(), (), ()]
    add(tmp_path, runs[:1])
    assert path_of(tmp_path).read_bytes() == before


@pytest.mark.parametrize("spoil", [
    lambda data: data[:-9], lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"record,curve,x,y\n",
    lambda data: data + b"more", lambda data: data[:-20] + b"\0" + data[-19:],
    lambda data: gzip.compress(b"a,b\n1,2\n"),
    lambda data: gzip.compress(gzip.decompress(data) + b"\n"),
    lambda data: gzip.compress(gzip.decompress(data).replace(b"3.5", b"low")),
    lambda data: gzip.compress(gzip.decompress(data).replace(b",3.5", b"")),
    lambda data: gzip.compress(gzip.decompress(data).replace(b"3.5", b"\xff")),
])  # fmt: skip
def test_a_table_that_is_cut_short_or_garbage_is_one_line_with_its_name(tmp_path, raw, spoil, capsys):
    add(tmp_path, [raw(curves=followed()), raw("pca")])
    whole = path_of(tmp_path).read_bytes()
    path_of(tmp_path).write_bytes(spoil(whole))
    found = {record.method: record for record in load(tmp_path)}
    readable = path_of(tmp_path).read_bytes().startswith(whole)  # and followed by something else
    assert found["gldo"].outdated == (() if readable else ("edited: its checksum differs",))
    assert not found["pca"].outdated
    said = capsys.readouterr().err
    assert f"'{path_of(tmp_path)}' is " in said
    assert said.count("\n") == 1
    add(tmp_path, [raw(curves=followed())])  # what is made again has its curves again
    assert path_of(tmp_path).read_bytes() == whole
    assert not any(record.outdated for record in load(tmp_path))


def test_rows_without_their_record_are_not_read_and_go_with_the_next_writing(tmp_path, raw):
    first, _ = add(tmp_path, [raw("glo", curves=followed()), raw("vae", curves=followed())])
    first.unlink()
    assert [r.method for r in load(tmp_path)] == ["vae"]
    add(tmp_path, [raw("pca")])
    assert b"glo" not in gzip.decompress(path_of(tmp_path).read_bytes())


def test_two_commands_at_once_lose_nothing(tmp_path, raw):
    runs = {m: [raw(m, s, curves=followed(s)) for s in range(6)] for m in ("glo", "vae")}
    code = (
        "import json, sys\nfrom pathlib import Path\nfrom latent_ot.results import add\n"
        "for run in json.loads(sys.argv[2]):\n    add(Path(sys.argv[1]), [run])"
    )
    commands = [[sys.executable, "-c", code, str(tmp_path / "two"), json.dumps(mine)] for mine in runs.values()]
    assert [p.wait() for p in [subprocess.Popen(command) for command in commands]] == [0, 0]
    add(tmp_path / "one", [run for mine in runs.values() for run in mine])
    names = sorted(p.name for p in (tmp_path / "one" / "results").iterdir())
    assert sorted(p.name for p in (tmp_path / "two" / "results").iterdir()) == names
    assert path_of(tmp_path / "one").read_bytes() == path_of(tmp_path / "two").read_bytes()
    assert [dump(r) for r in load(tmp_path / "two")] == [dump(r) for r in load(tmp_path / "one")]
