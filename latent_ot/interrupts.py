"""Ctrl-C, SIGTERM (docker stop, scancel) and SIGHUP (a closed laptop) are one wish: to stop now and go on another day.

A command ends at once wherever it is, by one line and exit code 130, with no traceback and no process left behind. What
it was writing is removed, and all else is as a power cut would leave it: files appear whole or not at all. Work that
resumes (``heeded``) ends by itself instead. An exception could do neither: imports and finalisers swallow it.
"""

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STOPPED = "stopped; run the same command again to go on where it stopped"
EXIT = 130
AGAIN_SECONDS = 1.0  # a second wish comes after so long: some tell both a process and its group, or send two signals

_passing: set[Path] = set()


class Wish:
    """What the user wants of work that resumes. ``level``: 0 to go on, 1 to end at the next whole step, 2 at once.

    ``bell``: a file descriptor that can be read when the level has changed. ``cut``: called at once at the first wish.
    """

    current: ClassVar["Wish | None"] = None

    def __init__(self) -> None:
        self.level, self.since = 0, 0.0
        self.bell, self._rope = os.pipe()
        self.cut: Callable[[], None] | None = None

    def heard(self, signum: int, frame: FrameType | None) -> None:
        """Take a signal."""
        _hush()
        if self.level == 0 or time.monotonic() - self.since > AGAIN_SECONDS:
            self.level, self.since = min(2, self.level + 1), time.monotonic()
            os.write(self._rope, b".")
            if self.cut is not None:
                self.cut()

    def close(self) -> None:
        """Take the bell down."""
        os.close(self.bell)
        os.close(self._rope)


@contextlib.contextmanager
def heeded() -> Iterator[Wish]:
    """Let work that resumes end by itself when the user wants it to; within another such block it is the same wish."""
    if Wish.current is not None:
        yield Wish.current
        return
    wish = Wish()
    try:
        with _hearing(wish.heard):
            Wish.current = wish
            yield wish
    finally:
        Wish.current = None
        wish.close()
    if wish.level:
        _hush()  # who read our output, such as tee, may have been told to stop as well


@contextlib.contextmanager
def until(moment: float | None, wish: Wish) -> Iterator[None]:
    """Let work in this block end as at a first signal when a moment of ``time.monotonic`` comes, if any is given."""

    def come() -> None:
        if not wish.level:
            print("the time limit is reached", file=sys.stderr)
            wish.heard(0, None)

    if moment is None:
        yield
        return
    timer = threading.Timer(max(0.0, moment - time.monotonic()), come)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextlib.contextmanager
def ended() -> Iterator[None]:
    """End the process at once, by ``leave``, when the user wants the work in this block to stop."""
    with _hearing(leave):
        yield


def take() -> None:
    """End the process at once, by ``leave``, when the user wants it to, from now on."""
    _hear(leave)


@contextlib.contextmanager
def _hearing(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # Python lets the main thread alone hear signals
        return
    before = _hear(handler)
    try:
        yield
    finally:
        for s, previous in before.items():
            signal.signal(s, signal.SIG_DFL if previous is None else previous)


def _hear(handler: Callable[[int, FrameType | None], None]) -> dict[signal.Signals, Any]:
    """Give the signals to a handler, but for a hangup that nohup asks to ignore; return the handlers before."""
    nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return {s: signal.signal(s, handler) for s in SIGNALS if not (nohup and s == signal.SIGHUP)}


def leave(signum: int, frame: FrameType | None) -> None:
    """End this process: its line is said, what it was writing and the processes that it started are gone."""
    deaf()
    _hush()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # its lock may be held where the signal came in
            stream.flush()
    with contextlib.suppress(OSError):
        os.write(2, f"{STOPPED}\n".encode())
    end_children()
    drop()
    os._exit(EXIT)


def deaf() -> None:
    """Hear none of the signals any more."""
    if threading.current_thread() is threading.main_thread():
        for s in SIGNALS:
            signal.signal(s, signal.SIG_IGN)


def end_children() -> None:
    """Kill the processes that this one started, and the server that workers are forked of."""
    if "multiprocessing" in sys.modules:
        for child in sys.modules["multiprocessing"].active_children():
            child.kill()
    end_server()


def end_server() -> None:
    """Kill the server that workers are forked of, which may be busy with its imports and would listen to nothing."""
    pid = server()
    if pid is not None:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # multiprocessing wants to bury it itself


def server() -> int | None:
    """Return the process id of the server that workers are forked of, None before there is one."""
    module: Any = sys.modules.get("multiprocessing.forkserver")
    return None if module is None else module._forkserver._forkserver_pid  # it has no public name


@contextlib.contextmanager
def out_of_reach() -> Iterator[None]:
    """Start processes that none of the signals reaches from their first moment on, though the whole group be sent them.

    So is what they start in turn: this process alone hears, and tells them.
    """
    from multiprocessing import resource_tracker

    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        resource_tracker.ensure_running()  # which lets two of them in again
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def passing(path: Path) -> Iterator[Path]:
    """Remove a file or folder at the end of the block, if it is still there, and where the process is made to end."""
    _passing.add(path)
    try:
        yield path
    finally:
        _remove(path)
        _passing.discard(path)


def drop() -> None:
    """Remove what is half-written, before the process ends in the midst of it."""
    for path in list(_passing):
        _remove(path)


def _remove(path: Path) -> None:
    import shutil

    with contextlib.suppress(OSError):  # the folder may have gone, or be closed to us
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _hush() -> None:
    """Send output that nobody can read any more, of a closed terminal, nowhere: to write there would be an error."""
    for number in (1, 2):
        with contextlib.suppress(OSError):
            poll = select.poll()
            poll.register(number, 0)
            if any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0)):
                os.dup2(os.open(os.devnull, os.O_WRONLY), number)
