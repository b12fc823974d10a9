"""Generative models in a latent space, measured under one protocol."""

__version__ = "0.1.0"
