"""Several processes and threads at one prepared folder."""

import subprocess
import sys
from threading import Event, Thread

import numpy as np
import pytest
from originals import lay_out

from latent_ot.datasets import prepared, writer
from latent_ot.datasets.base import load
from latent_ot.datasets.content import Card, read_card, write_card


def test_two_processes_that_meet_a_stale_folder_agree(tmp_path, monkeypatch):
    lay_out("celeba64", tmp_path, monkeypatch)
    data = load("celeba64", tmp_path)
    card = read_card(tmp_path / data.id)
    write_card(tmp_path / data.id, Card({**card.origin, "source": {"CelebA": 9}}, files=card.files))
    code = "import sys; from pathlib import Path; from latent_ot.datasets.base import load; "
    code += "print(load('celeba64', Path(sys.argv[1])))"
    loads = [subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE) for _ in range(3)]
    assert {load.communicate()[0].decode().strip() for load in loads} == {str(data)}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["celeba", data.id]


@pytest.mark.slow
def test_a_reader_never_meets_two_sets_in_one(tmp_path):
    def splits(value):
        return prepared.Splits(*(np.full((count, 8, 8, 1), value, np.uint8) for count in (30, 10)))

    torn, seen, done = [], set(), Event()

    def read():
        while not done.is_set():
            if kept := prepared.kept(tmp_path / "own"):
                values = {int(kept.splits.train[0, 0, 0, 0]), int(kept.splits.test[0, 0, 0, 0]), kept.card.origin["n"]}
                seen.update(values)
                torn.extend([values] if len(values) > 1 else [])

    readers = [Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    kept = None
    for value in range(60):
        kept = writer.write(tmp_path / "own", splits(value), Card({"n": value}), kept)
        assert kept.splits.train.max() == value
    done.set()
    for reader in readers:
        reader.join()
    assert torn == []
    assert len(seen) > 1
