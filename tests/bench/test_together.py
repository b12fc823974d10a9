"""Ranks in the runner: one of them writes, all stop together, and a training goes on with another number of them."""

import json
import multiprocessing
import os
import signal
import time

import pytest
import torch
from driving import run
from golden.arrays import images
from safetensors.torch import load_file
from sharing import CPU, lives, on_ranks

from latent_ot.bench.together import STOP, together
from latent_ot.bench.train import Diverged, Stopped
from latent_ot.methods.glo import Glo, GloConfig
from latent_ot.ranks import total
from latent_ot.stage import Spec

STEPS = 10


def glo(**settings):
    torch.manual_seed(0)
    config = GloConfig.build({"batch_size": 8, "latent_dim": 5, **settings}, "glo")
    return Glo(config, Spec((1, 16, 16), 96, STEPS * 8, 0.05))


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_two_ranks_train_as_one_and_one_goes_on_with_what_they_began(tmp_path):
    def until_asked(rank):
        looks = []
        with pytest.raises(Stopped):  # rank 0's wish, at its fourth look, is the other's
            run(glo(), images(), tmp_path / "begun", lambda: len(looks.append(0) or looks) == 4 and rank.leads, rank)
        return len(looks)

    assert on_ranks(until_asked) == 4
    two = on_ranks(lambda rank: run(glo(), images(), tmp_path / "two", rank=rank))
    begun, one = (run(glo(), images(), tmp_path / name) for name in ("begun", "one"))
    for told, folder in ((two, tmp_path / "two"), (begun, tmp_path / "begun")):
        for key in ("images_seen", "parameters", "updates", "notes"):
            assert told[key] == one[key]
        assert told["facts"].pop("lr_z_rule") == "lr_z"
        assert told["facts"] == pytest.approx({name: one["facts"][name] for name in told["facts"]}, rel=1e-4)
        for row, wanted in zip(rows(folder), rows(tmp_path / "one"), strict=True):
            assert row == pytest.approx(wanted, rel=1e-4)
        for path in (tmp_path / "one").rglob("*.safetensors"):
            found, wanted = load_file(folder / path.relative_to(tmp_path / "one")), load_file(path)
            for name, value in wanted.items():
                torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-4, msg=name)
    assert len(rows(tmp_path / "one")) == STEPS


def test_all_ranks_diverge_together(tmp_path):
    def diverge(rank):
        with pytest.raises(Diverged, match=r"nan|not finite"):
            run(glo(lr=1e30), images(), tmp_path / "diverged", rank=rank)

    on_ranks(diverge)


def ends(work):
    """Return the last message of two ranks that each do ``work(rank)`` joined, what they told, and rank 0's process."""
    begun, told = [], []

    def begin(rank, pipe):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {STOP})
        pipe.send({"told": rank.number})
        try:
            with rank.joined(CPU):
                work(rank)
            pipe.send({"end": "done", "result": rank.number})
        except Exception as error:
            pipe.send({"end": "failed", "reason": str(error)})

    end = together(2, begin, begun.append, told.append)
    assert multiprocessing.active_children() == []
    assert told == [{"told": 0}]
    return end, begun[0]


def test_the_end_of_rank_0_is_that_of_all():
    end, leader = ends(lambda rank: None)
    assert end == {"end": "done", "result": 0}
    with pytest.raises(ProcessLookupError):
        os.kill(leader, 0)


@pytest.mark.parametrize("dying", [0, 1])
def test_a_rank_that_dies_ends_all_though_the_other_waits_for_it(dying):
    def work(rank):
        if rank.number == dying:
            os.kill(os.getpid(), signal.SIGKILL)
        while True:
            total(torch.zeros(1))

    end, _ = ends(work)
    assert end["end"] == "failed"
    assert end["reason"].startswith(f"process {dying + 1} of 2 was killed (SIGKILL")


@pytest.mark.parametrize("failing", [0, 1])
def test_what_one_rank_fails_of_is_told_and_not_what_the_other_fails_of_meanwhile(failing):
    def work(rank):
        if rank.number == failing:
            raise ValueError("the reason")
        total(torch.zeros(1))

    assert ends(work)[0] == {"end": "failed", "reason": "the reason"}


def test_ranks_end_with_the_worker_that_forked_them(tmp_path):
    def worker():
        def stay(rank, pipe):
            (tmp_path / str(rank.number)).write_text(str(os.getpid()))
            time.sleep(600)

        together(3, stay, lambda pid: None, print)

    process = multiprocessing.get_context("fork").Process(target=worker)
    process.start()
    until = time.monotonic() + 600
    while len(found := [path.read_text() for path in tmp_path.iterdir()]) < 3 or "" in found:
        assert time.monotonic() < until
        time.sleep(0.01)
    process.kill()
    process.join()
    while any(map(lives, found)):
        assert time.monotonic() < until
        time.sleep(0.01)
