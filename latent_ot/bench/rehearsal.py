"""A user's own method or sampler, built small, trained for a step on noise and drawn from, before any work starts.

Only what breaks a rule of the contract is refused. Whatever else happens - it raises, dies or takes its time - is no
matter of a rule: it will be its row's, and happens in a process of its own, here too.
"""

import contextlib
import logging
import os
import signal
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from latent_ot.bench import contract
from latent_ot.bench.executors.local import without_script, workers
from latent_ot.bench.identity import small
from latent_ot.bench.train import Watch, as_tensor, train
from latent_ot.catalog import KIND, Catalog
from latent_ot.discovery import broken
from latent_ot.errors import ContractError, Declined
from latent_ot.methods.base import Method
from latent_ot.samplers.base import LatentSampler
from latent_ot.seeding import generator
from latent_ot.stage import Stage

DRAWN = 3  # samples; odd, as few halves and batches are
SECONDS = 60.0  # after which nobody waits any more


@dataclass(frozen=True)
class Part:
    """A user's own stage: its role and name, resolved settings, and the shape of the examples that it trains on."""

    role: str
    name: str
    settings: Mapping[str, Any]
    shape: tuple[int, ...]


def rehearse(part: Part, catalog: Catalog) -> None:
    """Train a part for one step and draw from it, here.

    Raises:
        ContractError: if it breaks a rule.
        Exception: what it raises of its own.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    watch = Watch(lambda **_: None, lambda: False, 1e9)
    with _undisturbed() as folder:
        config = catalog.stage(KIND[part.role], part.name).Config.build(part.settings, where=part.name)
        stage = small(catalog, part.role, part.name, config, part.shape, ())
        noise = generator(0, "rehearsal")
        data = _noise(stage, noise)
        train(stage, data, folder, watch, torch.device("cpu"))
        with torch.no_grad():
            _draw(stage, data, noise)


def refuse_broken(parts: Sequence[Part], plugins: Sequence[Path]) -> None:
    """Rehearse parts, each in a process of its own.

    Raises:
        ContractError: if one breaks a rule.
    """
    context = workers()
    for part in parts:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_apart, args=(part, tuple(plugins), theirs), daemon=True)
        with without_script():
            process.start()
        theirs.close()
        said = None
        with contextlib.suppress(EOFError):  # it died
            said = ours.recv() if ours.poll(SECONDS) else None
        process.kill()
        process.join()
        if said:
            raise ContractError(said)


@contextlib.contextmanager
def _undisturbed() -> Iterator[Path]:
    """Yield a folder that is gone afterwards, and leave shared generators and warnings as they were."""
    with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield Path(folder)


def _apart(part: Part, plugins: tuple[Path, ...], pipe: Connection) -> None:
    """Rehearse in a process of its own, and send the line that it is refused with, or None."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the command, which then ends this
    said = None
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        try:
            torch.set_num_threads(1)
            rehearse(part, Catalog(plugins))
        except ContractError as error:
            said = str(error)
        except Exception:  # its row will say it
            said = None
    pipe.send(said)


def _noise(stage: Stage, noise: torch.Generator) -> Any:
    """Return as many examples, as a data set stores them, or codes, as a small stage is built for."""
    count, shape = stage.spec.count, stage.spec.shape
    if len(shape) == 3:
        size = (count, *shape[1:], shape[0])
        return torch.randint(256, size, generator=noise, dtype=torch.uint8).numpy()
    drawn = torch.randn(count, *shape, generator=noise)
    return drawn if isinstance(stage, LatentSampler) else drawn.numpy()


def _draw(stage: Stage, data: Any, noise: torch.Generator) -> None:
    """Ask a trained stage for all that a run asks it for."""
    if isinstance(stage, LatentSampler):
        contract.drawn_codes(stage, DRAWN, noise)
        return
    assert isinstance(stage, Method)
    if stage.role == "representation":
        codes = contract.training_codes(stage, as_tensor(data))
        contract.examples(stage, "decode", stage.decode(codes[:DRAWN]), DRAWN)
        return
    try:
        contract.sample(stage, DRAWN, noise)
    except Declined as why:
        rule = f"it has no sample(n, generator): {why}; allowed: one that returns images (n, C, H, W) in [0, 1]"
        raise broken(type(stage), rule) from None
