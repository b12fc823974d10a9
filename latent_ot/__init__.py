"""Generative models in a latent space, measured under one protocol."""

from typing import TYPE_CHECKING, Any

from latent_ot._version import __version__

if TYPE_CHECKING:
    from latent_ot.api import Run, evaluate, load, train

__all__ = ["Run", "__version__", "evaluate", "load", "train"]


def __getattr__(name: str) -> Any:
    """Import the suite's door for Python when it is first used, so that importing the package costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'latent_ot' has no attribute '{name}'")
    from latent_ot import api

    return getattr(api, name)
