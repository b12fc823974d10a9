"""A file that the suite writes is there whole or not at all, whoever else writes or reads it."""

import multiprocessing

import pytest

from latent_ot.files import whole, write_atomic

SIZE = 1 << 20


def write_often(path, byte):
    for _ in range(50):
        write_atomic(path, byte * SIZE)


def half_written(part):
    part.write_bytes(b"half")
    raise RuntimeError("no room")


def test_a_file_appears_in_one_step(tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(b"old")
    with whole(path) as part, part.open("wb") as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_what_was_there_and_no_part(tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="no room"), whole(path) as part:
        half_written(part)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_of_two_processes_that_write_at_once_a_reader_sees_one(tmp_path):
    path = tmp_path / "shared.bin"
    write_atomic(path, b"a" * SIZE)
    writers = [
        multiprocessing.get_context("fork").Process(target=write_often, args=(path, byte)) for byte in (b"a", b"b")
    ]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert path.read_bytes() in (b"a" * SIZE, b"b" * SIZE)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert list(tmp_path.iterdir()) == [path]
