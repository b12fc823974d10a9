"""A code table that processes share; they are started anew and import this file by its name."""

import torch
from torch import distributed

from latent_ot.methods._codes import CodeTable


def table(n=12, d=5, seed=0):
    return CodeTable(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)))


def adam(codes, lr=0.05):
    return torch.optim.Adam([codes.codes], lr=lr, betas=(0.5, 0.999))


def batches(count, n=12, d=5, size=4):
    generator = torch.Generator().manual_seed(7)
    for _ in range(count):
        yield torch.randperm(n, generator=generator)[:size], torch.randn(size, d, generator=generator)


def share(rank, world, port_file, results):
    distributed.init_process_group("gloo", init_method=f"file://{port_file}", rank=rank, world_size=world)
    codes = table()
    step = adam(codes)
    for index, gradient in batches(10):
        codes.move(index.chunk(world)[rank], gradient.chunk(world)[rank] * world, step)  # gradient of the share's mean
    torch.save(codes.state_dict(), f"{results}/{rank}.pt")
    distributed.destroy_process_group()
