"""One stage by several processes, a rank each: forked of the worker, which passes on what they say and watches them.

The worker takes no part itself, so that it waits for none that is gone: whatever one of them dies of is told in one
line, and the others end with it. They end, too, when the worker is gone.
"""

import contextlib
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection, wait
from typing import Any

from latent_ot.bench.death import death, oom_kills
from latent_ot.interrupts import drop
from latent_ot.ranks import Rank

STOP = signal.SIGUSR1  # not SIGTERM, which Lightning takes for itself while it trains
GRACE = 1.0  # seconds in which the death that another rank failed of comes to light
Message = dict[str, Any]


def together(
    size: int, work: Callable[[Rank, Connection], None], begun: Callable[[int], None], tell: Callable[[Message], None]
) -> Message:
    """Fork ``size`` processes and return the last message of rank 0, or of the first that failed.

    Args:
        size: of the group.
        work: what each does: with its rank, and a pipe to which it sends messages, the last with an "end". It begins
            with ``STOP`` blocked.
        begun: called with the process id of rank 0, once all are started.
        tell: called with every other message of rank 0.
    """
    context, kills = multiprocessing.get_context("fork"), oom_kills()
    ranks: dict[Connection, tuple[int, Any]] = {}
    try:
        with _blocked(), socket.create_server(("127.0.0.1", 0)) as door:
            for number in range(size):
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(target=_begin, args=(work, Rank(number, size, door), theirs))
                process.start()
                theirs.close()
                ranks[ours] = number, process
            begun(next(process.pid for _, process in ranks.values()))
        return _watch(ranks, tell, kills)
    finally:
        for _, process in ranks.values():
            process.kill()
        for _, process in ranks.values():
            process.join()


@contextlib.contextmanager
def _blocked() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {STOP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(work: Callable[[Rank, Connection], None], rank: Rank, pipe: Connection) -> None:
    worker = multiprocessing.parent_process()
    assert worker is not None

    def follow() -> None:
        worker.join()
        drop()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
    work(rank, pipe)


def _watch(ranks: Mapping[Connection, tuple[int, Any]], tell: Callable[[Message], None], kills: int) -> Message:
    """Hear the ranks until one has told what becomes of all: a death goes before what others failed of meanwhile."""
    heard, failed, until = dict(ranks), list[Message](), 0.0
    while heard and (ready := wait([*heard], max(0.0, until - time.monotonic()) if failed else None)):
        for pipe in ready:
            assert isinstance(pipe, Connection)
            number, process = heard[pipe]
            try:
                message = pipe.recv()
            except (EOFError, OSError):
                process.join()
                who = f"process {number + 1} of {len(ranks)}"
                return {"end": "failed", "reason": death(process.exitcode, kills, who)}
            if "end" not in message:
                if number == 0:
                    tell(message)
            elif message["end"] in ("done", "stopped", "diverged"):  # as all of them do, whoever is first
                if number == 0:
                    return message
                del heard[pipe]
            else:
                failed.append(message)
                until = time.monotonic() + GRACE
                del heard[pipe]
    return failed[0]
