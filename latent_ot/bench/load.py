"""Rebuild trained stages from their folders, ready to sample."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from latent_ot.catalog import Catalog
from latent_ot.methods.base import Method, Pair
from latent_ot.samplers.base import LatentSampler
from latent_ot.stage import Spec, Stage

KIND = {"train": "methods", "sampler": "samplers"}


def make(catalog: Catalog, config: dict[str, Any]) -> Stage:
    """Construct the untrained stage that a stage folder's ``config.json`` describes."""
    from latent_ot.bench.train import build

    job, spec = config["job"], config["spec"]
    stage = catalog.stage(KIND[job["role"]], job["name"])
    return build(
        stage, stage.Config.build(job["config"], where=job["name"]), Spec(**{**spec, "shape": tuple(spec["shape"])})
    )


def load_stage(catalog: Catalog, folder: Path, weights: Path | None = None) -> Stage:
    """Return the trained stage in ``folder``, in eval mode on the CPU; ``weights`` picks a snapshot of it."""
    stage = make(catalog, json.loads((folder / "config.json").read_text()))
    stage.load_state_dict(load_file(weights or folder / "model.safetensors"))
    return stage.eval()


def load_model(catalog: Catalog, folders: dict[str, Path], device: torch.device) -> Method | Pair:
    """Return the generative model made of trained stages; ``folders`` maps their roles, "train" and "sampler"."""
    method = load_stage(catalog, folders["train"]).to(device)
    assert isinstance(method, Method)
    if "sampler" not in folders:
        return method
    sampler = load_stage(catalog, folders["sampler"]).to(device)
    assert isinstance(sampler, LatentSampler)
    return Pair(method, sampler)
