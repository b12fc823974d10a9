"""Rebuild trained stages from their folders, ready to sample."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latent_ot.bench.store import config_of
from latent_ot.catalog import KIND, Catalog
from latent_ot.methods.base import Method, Pair
from latent_ot.samplers.base import LatentSampler
from latent_ot.stage import Spec, Stage
from latent_ot.tensors import read_weights


def make(catalog: Catalog, config: Mapping[str, Any], parts: Sequence[Stage] = ()) -> Stage:
    """Construct the untrained stage that a stage folder's ``config.json`` describes.

    ``parts``: the trained stages that a refinement starts from; without them, to load its weights, they are untrained.
    """
    job, spec = config["job"], Spec(**{**config["spec"], "shape": tuple(config["spec"]["shape"])})
    base = list(parts)
    for part in job.get("parts", ())[len(base) :]:
        shape = (int(base[0].latent_dim),) if base else spec.shape  # type: ignore[arg-type]  # the first has codes
        base.append(_make(catalog, part, replace(spec, shape=shape, images=part["images"], width=part["width"])))
    return _make(catalog, job, spec, *([Pair(*base)] if base else []))  # type: ignore[arg-type]  # their roles say so


def _make(catalog: Catalog, job: Mapping[str, Any], spec: Spec, *base: Pair) -> Stage:
    from latent_ot.bench.train import build

    stage = catalog.stage(KIND[job["role"]], job["name"])
    return build(stage, stage.Config.build(job["config"], where=job["name"]), spec, *base)


def load_stage(catalog: Catalog, folder: Path, weights: Path | None = None) -> Stage:
    """Return the trained stage in ``folder``, in eval mode on the CPU; ``weights`` picks a snapshot of it."""
    stage = make(catalog, config_of(folder))
    read_weights(weights or folder / "model.safetensors", stage)
    return stage.eval()


@torch.no_grad()
def code_std(catalog: Catalog, folder: Path, rows: np.ndarray, device: torch.device) -> Tensor | None:
    """Return the standard deviations (N, d) of a trained representation's codes of all training ``rows``, if any."""
    from latent_ot.bench.train import as_tensor

    representation = load_stage(catalog, folder).to(device)
    assert isinstance(representation, Method)
    return representation.code_std(as_tensor(rows))


def decoding(folders: Mapping[str, Path]) -> Path:
    """Return the folder, of those of one method by role, of the stage whose networks make the images."""
    return folders["refine" if "refine" in folders else "train"]


def load_model(catalog: Catalog, folders: Mapping[str, Path], device: torch.device) -> Method | Pair:
    """Return the generative model made of trained stages; ``folders`` maps their roles to where they lie."""
    method = load_stage(catalog, decoding(folders)).to(device)
    assert isinstance(method, Method)
    if method.role != "representation" or "sampler" not in folders:
        return method
    sampler = load_stage(catalog, folders["sampler"]).to(device)
    assert isinstance(sampler, LatentSampler)
    return Pair(method, sampler)
