"""Two targets of the Makefile that are asked for at once install into the same folder one after the other: once."""

import os
import shutil
import subprocess
import sys

import pytest
from faults.commands import ROOT

PYTHON = f"""#!/bin/sh
test "$1" = -c && exec '{sys.executable}' "$@"
mkdir -p .venv/bin
cp pip .venv/bin/pip
"""
PIP = """#!/bin/sh
mkdir installing || echo 'two at once' >> told
sleep 0.3
rmdir installing
echo installed >> told
"""
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make here")


@pytest.fixture
def clone(tmp_path):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    for name, text in {"python": PYTHON, "pip": PIP}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return tmp_path


def made(clone, count):
    """Ask for the environment so many times at once; return what was told of installations since the clone."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    words = ["make", "PYTHON=./python", ".venv/ready"]
    every = [subprocess.Popen(words, cwd=clone, env=env, stderr=subprocess.DEVNULL) for _ in range(count)]
    assert [one.wait() for one in every] == [0] * count
    return (clone / "told").read_text().split("\n")[:-1]


def test_two_targets_at_once_install_once(clone):
    assert made(clone, 2) == ["installed"]
    assert made(clone, 2) == ["installed"]
    later = (clone / ".venv" / "ready").stat().st_mtime + 1
    os.utime(clone / "constraints.txt", (later, later))
    assert made(clone, 1) == ["installed"] * 2


def test_what_waited_installs_where_the_other_failed(clone):
    (clone / "pip").write_text("#!/bin/sh\nmkdir failed 2> /dev/null && sleep 0.3 && exit 1\necho installed >> told\n")
    env = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    words = ["make", "PYTHON=./python", ".venv/ready"]
    every = [subprocess.Popen(words, cwd=clone, env=env, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert sorted(one.wait() for one in every) == [0, 2]
    assert (clone / "told").read_text() == "installed\n"
