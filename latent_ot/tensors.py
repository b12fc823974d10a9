"""Files of tensors, by the readers and the writers of ``files.py``: weights, codes, and checkpoints."""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from latent_ot.errors import Damaged
from latent_ot.files import reading, shown, write_atomic

OF = "of"
"""Key of a file's metadata under which stands whose weights they are."""
AGAIN = "run the command that made it again"


def write_tensors(path: Path, tensors: Mapping[str, Tensor], of: str | None = None) -> str:
    """Write tensors as safetensors, whole and durably; ``of``: whose weights they are. Return the bytes' sha256."""
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    data = save(kept, None if of is None else {OF: of})  # the library's own files are closed to all but their owner
    write_atomic(path, data, durable=True)
    return hashlib.sha256(data).hexdigest()


def read_tensors(path: Path, what: str, then: str = AGAIN) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file, on the CPU (see ``files.reading``)."""
    with reading(path, what, then):
        return load(path.read_bytes())


def read_codes(path: Path) -> Tensor:
    """Return the codes (N, d) that a stage left (see ``files.reading``)."""
    what = "the codes (N, d) of a trained representation"
    with reading(path, what, AGAIN):
        codes = read_tensors(path, what)["codes"]
        if codes.ndim < 2 or not codes.is_floating_point():
            raise ValueError(f"it holds {codes.dtype} {tuple(codes.shape)}")
        return codes


def write_weights(path: Path, module: nn.Module) -> str:
    """Write a module's parameters and buffers, with its class's name (see ``write_tensors``)."""
    return write_tensors(path, module.state_dict(), type(module).__name__)


def read_weights(path: Path, module: nn.Module) -> None:
    """Give a module the weights that ``write_weights`` wrote.

    Raises:
        Damaged: if they are not its own, naming both classes where another one's were written.
    """
    own = type(module).__name__
    what = f"the weights of {own}"
    found = read_tensors(path, what)
    if (whose := _whose(path)) not in (None, own):
        raise Damaged(f"'{shown(path)}' holds the weights of {whose}; allowed: {what}; {AGAIN}")
    fill(module, found, path, what)


def _whose(path: Path) -> str | None:
    """Return whose weights a whole file says that it holds."""
    with path.open("rb") as file:
        head = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return head.get("__metadata__", {}).get(OF)


def fill(module: nn.Module, found: Mapping[str, Any], path: Path, what: str, then: str = AGAIN) -> None:
    """Give a module the tensors of a file, all of them or none.

    Args:
        module: to fill.
        found: the file's tensors by name.
        path: of the file.
        what: it should be.
        then: what to do where it is not.

    Raises:
        Damaged: if they are others', in one line.
    """
    own, has = (
        {name: tuple(value.shape) for name, value in held.items() if isinstance(value, Tensor)}
        for held in (module.state_dict(), found)
    )
    try:
        module.load_state_dict(found)
    except Exception:  # torch names each tensor in a line of its own
        lacks = [f"no '{name}'" for name in own if name not in has]
        others = [f"a '{name}'" for name in found if name not in own]
        shapes = [f"'{n}' {has[n]} in place of {own[n]}" for n in own if n in has and has[n] != own[n]]
        told = ", ".join([*lacks, *others, *shapes][:2]) or "tensors that do not fit"
        raise Damaged(f"'{shown(path)}' holds other weights ({told}); allowed: {what}; {then}") from None


def write_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write what a training depends on, whole and durably."""
    data = io.BytesIO()  # torch's own writer tells a full disk by a RuntimeError
    torch.save(state, data)
    write_atomic(path, data.getvalue(), durable=True)


def read_checkpoint(path: Path, what: str, then: str = AGAIN) -> Any:
    """Return what a file of torch's holds, tensors and plain values alone; nothing in it is executed."""
    with reading(path, what, then):
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if archive.testzip():  # torch checks no sums
                    raise ValueError("a sum differs")
        return torch.load(path, map_location="cpu", weights_only=True)
