"""Take anew what the figures of small tables are to be: ``python benchmarks/expected/take.py``, thirty short runs.

Rows of two published tables are run on a hundred of scikit-learn's digits at budget ``smoke``, which is 32 passes over
them, at ten seeds, five on each of two sets of a processor's instructions: the machine's own and the oldest that torch
and oneDNN know. What a figure may be is found by the rule of ``latent_ot/report/expected.py`` and written beside this
file, one file a table, which

    latent-ot table gldo-table4 --run --against benchmarks/expected/gldo-table4.yaml

compares with. Take them anew when figures were meant to change, and say in the commit why. Another version of torch
changes numbers by their rounding alone, which the second set of instructions covers. Stores are kept under ``--work``,
where finished runs are reused: after a change give it a new folder.
"""

import argparse
import functools
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from latent_ot.files import write_atomic
from latent_ot.published import load_table
from latent_ot.report.expected import Expected, expect
from latent_ot.results import load

HERE = Path(__file__).parent
DATASET, BUDGET = "digits_100", "smoke"
TABLES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "gldo-table4": {
        "GLO_L2": ("fid", "psnr", "code_travel", "interp_smoothness"),
        "GLDO_L2, eps 3": ("fid", "psnr", "code_gradient", "interp_smoothness"),
    },
    "aeotgan-mnist-inline": {"AE-OT": ("fid", "psnr", "code_distance", "shift")},
}
"""Table -> its rows -> their figures: those that tell a broken method from a good one soonest."""
SETS: Mapping[str, tuple[Mapping[str, str], tuple[int, ...]]] = {
    "the machine's own": ({}, (0, 1, 2, 3, 4)),
    "ATEN_CPU_CAPABILITY=default, ONEDNN_MAX_CPU_ISA=SSE41": (
        {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"},
        (5, 6, 7, 8, 9),
    ),
}
"""Sets of instructions, in words -> the variables that ask for them, read when torch is loaded, and the seeds."""
HEAD = """\
# What the figures of these rows are to be, by the rule of latent_ot/report/expected.py.
# Made by `python benchmarks/expected/take.py`, which takes them anew; not to be edited by hand.
"""


def run(store: Path, data: Path, seeds: Sequence[int]) -> None:
    """Run the rows of all tables, on the instructions of this process."""
    from latent_ot.bench.request import Request
    from latent_ot.bench.rerun import rerun

    for table, rows in TABLES.items():
        spec = load_table(table)
        chosen = spec.model_copy(update={"rows": tuple(row for row in spec.rows if row.label in rows)})
        asked = Request(DATASET, [], seeds, BUDGET, data, store, gpus=0)
        _, stopped = rerun(chosen, asked, functools.partial(print, file=sys.stderr))
        if stopped:
            raise KeyboardInterrupt


def dumped(found: Expected) -> bytes:
    """Return the file of a table's intervals."""
    return (HEAD + yaml.safe_dump(found.model_dump(), sort_keys=False, width=120, default_flow_style=None)).encode()


def main() -> None:
    """Run what is missing on each set of instructions, and write the intervals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("runs/expected"), help="where data and the stores lie")
    parser.add_argument("--on", choices=SETS, help="run on this set alone, as the command calls itself")
    args = parser.parse_args()
    stores = {name: args.work / f"store{place}" for place, name in enumerate(SETS)}
    if args.on is not None:
        run(stores[args.on], args.work / "data", SETS[args.on][1])
        return
    for name, (variables, _) in SETS.items():
        command = [sys.executable, __file__, "--work", str(args.work), "--on", name]
        subprocess.run(command, env={**os.environ, **variables}, check=True)
    for table, rows in TABLES.items():
        made = expect(load_table(table), rows, {name: load(store) for name, store in stores.items()})
        write_atomic(HERE / f"{table}.yaml", dumped(made))
        print(HERE / f"{table}.yaml")


if __name__ == "__main__":
    main()
