"""Reconstruct held-out images, once for a representation whatever sampler it meets, and keep the codes found."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latent_ot.bench import contract
from latent_ot.bench.load import decoding, load_stage
from latent_ot.bench.sampling import rebuild
from latent_ot.bench.train import as_tensor
from latent_ot.catalog import Catalog
from latent_ot.datasets.base import Dataset
from latent_ot.errors import Declined
from latent_ot.methods.base import Method, Pair
from latent_ot.metrics.base import keys_of
from latent_ot.metrics.estimate import intervals
from latent_ot.metrics.psnr import psnr
from latent_ot.metrics.score import score
from latent_ot.pictures.images import save_strip
from latent_ot.record import HALFWAY
from latent_ot.samplers.gaussian import Gaussian, GaussianConfig
from latent_ot.stage import Spec, as_float
from latent_ot.tensors import read_codes, write_tensors

STRIP = 16
HELD_OUT = 1000  # images whose codes an encoder gives; a search gives those of the images that it reconstructs
CODES = "held_out_codes.safetensors"


def reconstruct(
    job: Mapping[str, Any],
    folders: Mapping[str, Path],
    dataset: Dataset,
    catalog: Catalog,
    folder: Path,
    device: torch.device,
    report: Callable[..., None],
) -> dict[str, Any]:
    """Reconstruct by the job's rules; leave a strip and the codes of held-out images in ``folder``."""
    rules = job["rules"]
    originals = as_tensor(dataset.test[: rules["images"]])
    report(done=0, total=len(originals))
    try:
        model = searchable(catalog, decoding(folders), device)
        codes, rebuilt, halfway = rebuild(model, as_float(originals).to(device), job["seed"], rules["steps"])
    except Declined as reason:
        return {"metrics": {}, "reasons": dict.fromkeys(keys_of("reconstructions"), str(reason))}
    save_strip(folder / "reconstructions.png", *(x[:STRIP].permute(0, 2, 3, 1).numpy() for x in (originals, rebuilt)))
    if isinstance(model, Pair) and not model.searches():
        codes = _encode(model, as_tensor(dataset.test[:HELD_OUT]), device)
    write_tensors(folder / CODES, {"codes": codes.float()})
    reasons: dict[str, str] = {}
    metrics, _ = score("reconstructions", originals, rebuilt, reasons=reasons)
    facts = {} if halfway is None else {HALFWAY: psnr(originals, halfway)}
    return {"metrics": metrics, "intervals": intervals(metrics), "reasons": reasons, "facts": facts}


def searchable(catalog: Catalog, folder: Path, device: torch.device) -> Method | Pair:
    """Return the method trained in ``folder``, with a Gaussian fitted to its codes where it has codes: GLDO, 4.3.

    A search over codes then begins at draws from that Gaussian, or from the prior of a method trained end to end.
    """
    method = load_stage(catalog, folder).to(device)
    assert isinstance(method, Method)
    if method.role != "representation":
        return method
    return under_gaussian(method, read_codes(folder / "codes.safetensors").to(device))


def under_gaussian(method: Method, codes: Tensor) -> Pair:
    """Return a representation with a Gaussian fitted to its codes (N, d)."""
    spec = Spec(tuple(codes.shape[1:]), len(codes), 0)
    start = Gaussian(GaussianConfig.build({}, where="gaussian"), spec).to(codes.device)
    start.fit(codes)
    return Pair(method, start)


@torch.no_grad()
def _encode(model: Method | Pair, images: Tensor, device: torch.device) -> Tensor:
    return torch.cat([contract.encode(model, as_float(chunk).to(device)).cpu() for chunk in images.split(500)])
