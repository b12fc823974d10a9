"""Images that were made elsewhere, scored as if a method of the suite had drawn them: a row beside its rows."""

import hashlib
import re
import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latent_ot.bench import machine
from latent_ot.bench.benchmark import Benchmark
from latent_ot.bench.evaluate import of_samples
from latent_ot.bench.identity import scoring
from latent_ot.bench.scorer import Scorer
from latent_ot.bench.train import as_tensor
from latent_ot.datasets.folder import read_like
from latent_ot.datasets.own import COLUMNS, as_images
from latent_ot.errors import InputError
from latent_ot.files import home, read_array, reading, shown, write_atomic
from latent_ot.quantities import foreign
from latent_ot.record import DATA, EXTERNAL, SCHEMA, SCORED_BY, Protocol
from latent_ot.results import add

NAME = r"[\w(][\w .()]*(?:-[\w .()]+)*"
"""What a row may be called: letters, digits, blanks, . _ ( ) and single hyphens; it is a part of file names."""
ALLOWED = "letters, digits, blanks, . _ ( ) and single hyphens, at most 60, and no name of the suite's"
ELSEWHERE = "its images were made elsewhere, and they are all that is known of it"
ARRAYS = ("arr_0", "samples", *COLUMNS)
"""Which array of an .npz file holds the images, where it holds several."""


def read(images: Any, shape: tuple[int, ...], exact: bool = False) -> Tensor:
    """Return someone's images as uint8 (n, C, H, W) of a set of ``shape`` (C, H, W).

    Args:
        images: a folder of pictures, a file .npz or .npy, or what ``datasets.own.as_images`` takes.
        shape: of one image.
        exact: refuse pictures of another size or in colours that the set has not; else they are brought to it.

    Raises:
        InputError: for what cannot be read as images, or is of another shape.
    """
    if isinstance(images, str | Path):
        path = home(Path(str(images).removeprefix("folder:")))
        if path.suffix.lower() in (".npz", ".npy") and not path.is_dir():
            images = _array(path)
        elif path.is_file():
            raise InputError(f"'{shown(path)}' is a file; allowed: a folder of pictures, or a file .npz or .npy")
        else:
            images = np.stack(list(read_like(path, shape, exact)[0].values()))
    found = as_tensor(as_images(images)).clone(memory_format=torch.contiguous_format)  # as drawn: sums depend on it
    if tuple(found.shape[1:]) != shape:
        raise InputError(f"images of shape {tuple(found.shape[1:])}; allowed: {shape}, that of the real ones")
    return found


def _array(path: Path) -> np.ndarray:
    """Return the array of images in a file."""
    what, then = "images, uint8 (N, H, W, C), in a file .npz or .npy", "write it again"
    if path.suffix.lower() == ".npy":
        return read_array(path, what, then)
    with reading(path, what, then), np.load(path, allow_pickle=False) as arrays:
        named = next((name for name in ARRAYS if name in arrays.files), None)
        if named is None and len(arrays.files) != 1:
            held = (
                f"it holds {len(arrays.files)} arrays, {', '.join(arrays.files[:5])}" if arrays.files else "it is empty"
            )
            raise ValueError(f"{held}; one called {ARRAYS[0]} is asked for")
        return arrays[named or arrays.files[0]]


def enough(images: Tensor, rules: Protocol) -> Tensor:
    """Return as many images as a protocol scores, the first ones.

    Raises:
        InputError: for fewer.
    """
    if len(images) < rules.n:
        raise InputError(f"{len(images)} images; allowed: {rules.n} or more, as many as {rules.id} scores")
    return images[: rules.n]


def figures(benchmark: Benchmark, rules: Protocol, images: Tensor, seed: int, **how: Any) -> dict[str, Any]:
    """Return what images (n, C, H, W), as many as a protocol scores, come to under it; see ``evaluate.of_samples``.

    They are scored as a worker scores a run's samples: on the same kind of device and as many threads.
    """
    device = torch.device(benchmark.resources.device)
    if device.type == "cuda":
        machine.be_deterministic()
    weights = benchmark.request.weights.get(rules.evaluator or "")
    scorer = Scorer(benchmark.dataset, rules.model_dump(), weights, benchmark.store.cache, device)
    with machine.threads(benchmark.request.threads):
        return of_samples(scorer, images, seed, **how)


def check_name(name: str, suite: Sequence[str]) -> str:
    """Return the name of a row if it can be one.

    Raises:
        InputError: for one of the suite's, or one that a file name cannot hold.
    """
    if len(name) > 60 or name != name.strip() or not re.fullmatch(NAME, name) or name in {*suite, DATA, "all"}:
        raise InputError(f"name '{name}'; allowed: {ALLOWED}")
    return name


def score(benchmark: Benchmark, source: Path, name: str = "") -> list[dict[str, Any]]:
    """Score images under every protocol of a benchmark and keep the records in its store, with the data rows.

    Args:
        benchmark: of the data set and the evaluators; its first seed is that of the clusterings behind F8.
        source: a folder of pictures of the set's size, or a file .npz or .npy.
        name: of the row; default: the source's.

    Returns:
        The records of the data rows, and of the images.

    Raises:
        InputError: for what is no set of such images, too few of them, or a name that is none.
        KeyboardInterrupt: if the user stopped it.
    """
    dataset = benchmark.dataset
    if dataset.kind != "image":
        raise InputError(f"score takes images; {dataset.id} holds 2-D points")
    name = check_name(name or source.resolve().stem, benchmark.catalog.method_names())
    images = read(source, dataset.shape, exact=True)
    chosen = [enough(images, rules) for rules in benchmark.protocols]
    plans = benchmark.data_rows()
    records, stopped = benchmark.score(plans)
    if stopped:
        raise KeyboardInterrupt
    benchmark.keep(plans, records)
    for rules, some in zip(benchmark.protocols, chosen, strict=True):
        with tempfile.TemporaryDirectory() as folder:
            found = figures(benchmark, rules, some, benchmark.request.seeds[0], folder=Path(folder), alone=ELSEWHERE)
            picture = (Path(folder) / "samples.png").read_bytes()
        records.append(_record(benchmark, rules, name, source, images, some, found))
        (path,) = add(benchmark.store.root, records[-1:])
        if dataset.shareable:
            write_atomic(path.with_name(f"{path.stem}.samples.png"), picture)
    return records


def _record(
    benchmark: Benchmark,
    rules: Protocol,
    name: str,
    source: Path,
    images: Tensor,
    scored: Tensor,
    found: dict[str, Any],
) -> dict[str, Any]:
    """Return the record of images: without stages, and with what they came as in its facts, but not from where."""
    request, budget = benchmark.request, benchmark.budget
    came = {
        "form": "folder" if source.is_dir() else source.suffix.lower().removeprefix("."),
        "images": len(images),
        "sha256": hashlib.sha256(scored.numpy().tobytes()).hexdigest()[:16],
    }
    parts = scoring("evaluate", benchmark.dataset.kind, rules.evaluator)
    words = ["latent-ot", "score", shown(source.resolve().name), "--dataset", benchmark.dataset.id, "--name", name]
    words += ["--budget", budget.name, "--seed", str(request.seeds[0]), "--evaluator", rules.evaluator or ""]
    device = torch.device(benchmark.resources.device)
    return {
        "schema": SCHEMA,
        "status": "done",
        "method": name,
        "dataset": benchmark.dataset.id,
        "dataset_content": benchmark.dataset.content_id,
        "data": benchmark.facts.card(),
        "seed": request.seeds[0],
        "threads": request.threads,
        "budget": budget.name,
        "images_budget": budget.images,
        "width": budget.width,
        **found,
        "facts": {**found["facts"], EXTERNAL: came, SCORED_BY: parts},
        "quantities": foreign(found["metrics"]),
        "protocol": rules.model_dump(),
        "machine": {**machine.describe(device), "threads": request.threads},
        "versions": machine.versions(),
        "commit": machine.commit(),
        "command": shlex.join(words),
    }
