"""Whether somebody looks at a stream on a terminal."""

import os
from typing import TextIO


def is_terminal(stream: TextIO) -> bool:
    """Return whether a stream is a terminal, and not that which a notebook's cell gives to a command run from it.

    Such a one is 80 columns wide, shows the codes that move a cursor as letters, and nobody can type there.
    """
    return stream.isatty() and "JPY_PARENT_PID" not in os.environ
