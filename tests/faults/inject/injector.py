"""What goes wrong, and when: Python tells of every import, opened file, rename and more (see "audit events")."""

import errno
import json
import os
import re
import signal
import sys
import time
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Fault:
    """``does`` happens once, at the nth event of that name whose arguments match ``about``, in whatever process.

    ``does``: a signal's name, sent ``times`` over to the process itself, to the ``command`` or to its whole ``group``;
    an error's name such as ENOSPC, raised there; ``clock``, which jumps by ``by`` seconds; ``sleep``, for so many.
    ``mark``: a file that is made when it happens.
    """

    event: str
    about: str = ""
    does: str = "SIGINT"
    to: str = "command"
    nth: int = 1
    times: int = 1
    by: float = 0.0
    mark: str = ""

    @classmethod
    def read(cls, text):
        return cls(**json.loads(text))

    def written(self):
        return json.dumps(asdict(self))


class _Armed:
    def __init__(self):
        self.fault, self.count, self.busy = None, 0, False

    def hook(self, event, args):
        fault = self.fault
        if fault is None or self.busy or event != fault.event:
            return
        self.busy = True
        try:
            if re.search(fault.about, " ".join(str(arg) for arg in args)) is None:
                return
            self.count += 1
            if self.count != fault.nth or not self._first(fault):
                return
        finally:
            self.busy = False
        happen(fault)

    @staticmethod
    def _first(fault):
        """Whether it has not happened yet, in no process."""
        if not fault.mark:
            return True
        try:
            os.close(os.open(fault.mark, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True


def happen(fault):
    if fault.does.startswith("SIG"):
        number = signal.Signals[fault.does]
        command = int(os.environ.get("LATENT_OT_FAULT_COMMAND", os.getpid()))
        for _ in range(fault.times):
            if fault.to == "group":
                os.killpg(command, number)
            else:
                os.kill(command if fault.to == "command" else os.getpid(), number)
    elif fault.does == "clock":
        real = time.time
        time.time = lambda: real() + fault.by
    elif fault.does == "sleep":
        time.sleep(fault.by)
    else:
        number = getattr(errno, fault.does)
        raise OSError(number, os.strerror(number))


_armed = None


def arm(fault):
    """Let a fault happen in this process; None: nothing more. Python forgets no hook, so there is one."""
    global _armed
    if _armed is None:
        _armed = _Armed()
        sys.addaudithook(_armed.hook)
    _armed.fault, _armed.count = fault, 0
