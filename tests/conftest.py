"""Every test draws the same random numbers each time, whichever ran before it."""

import pytest
import torch


@pytest.fixture(autouse=True)
def seeded_draws():
    """Seed the global generator that networks draw their initial weights from."""
    torch.manual_seed(0)
