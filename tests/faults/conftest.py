"""A small bench, while a file, a disk, a signal, a clock or a worker misbehaves at a chosen point.

    def test_something(bench):
        ended = bench.run("claims", fault=Fault("open", r"results/.*json", "EACCES"))   # in this process
        ended = bench.start("bench", ..., fault=Fault("import", "torch", "SIGINT")).end()    # in one of its own

A signal must be real, hence in a process of its own; anything else is quicker in this one.
"""

import signal

import pytest
from faults.commands import Bench

from latent_ot import interrupts


@pytest.fixture(autouse=True)
def hearing():
    """Let signals be heard that the tests themselves may ignore, which their processes would inherit.

    Under nohup they ignore a hangup, in the background of a script Ctrl-C.
    """
    heard = dict.fromkeys(interrupts.SIGNALS, signal.SIG_DFL) | {signal.SIGINT: signal.default_int_handler}
    before = {s: signal.signal(s, handler) for s, handler in heard.items()}
    yield
    for s, handler in before.items():
        signal.signal(s, handler)


@pytest.fixture
def bench(tmp_path, monkeypatch, capfd):
    """Commands in a folder of their own, at which faults happen: see ``Bench`` and ``injector.Fault``."""
    return Bench(tmp_path, monkeypatch, capfd)
