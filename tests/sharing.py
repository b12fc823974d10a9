"""How tests let ranks train together: processes forked of this one, which have imported all that they need."""

import pickle
import traceback
from pathlib import Path

import torch
from torch import distributed

from latent_ot.bench.together import together

CPU = torch.device("cpu")


def on_ranks(work, size=2):
    """Return what ``work(rank)`` returns on each rank, called by itself; see ``joined``."""

    def begin(rank, pipe):
        torch.set_num_threads(1)
        try:
            told = {"end": "done", "result": pickle.dumps(work(rank))}
        except Exception:
            told = {"end": "failed", "reason": traceback.format_exc()}
        pipe.send(told)

    end = together(size, begin, lambda pid: None, print)
    assert end["end"] == "done", end["reason"]
    return pickle.loads(end["result"])


def joined(work, size=2):
    """Return what ``work()`` returns on each rank, called while all are joined."""

    def all_of(rank):
        with rank.joined(CPU):
            every = [None] * size
            distributed.all_gather_object(every, work())
        return every

    return on_ranks(all_of, size)


def lives(pid):
    """Whether a process has not ended; one that nobody has buried has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
