import time

import pytest
import torch
from sharing import batches, share, table
from torch import distributed, multiprocessing

from latent_ot.methods._codes import CodeTable


def state(table):
    return {name: value.clone() for name, value in table.state_dict().items()}


def test_rows_of_the_batch_are_the_only_rows_that_move_bit_for_bit():
    codes = table()
    for index, gradient in batches(20):
        before = state(codes)
        codes.step(index, gradient, 0.1)
        rest = torch.ones(12, dtype=torch.bool).index_fill(0, index, False)
        for name, value in codes.state_dict().items():
            assert torch.equal(value[rest], before[name][rest])
        assert (codes.codes[index] != before["codes"][index]).all()


def test_each_row_moves_as_under_an_adam_of_its_own():
    codes = table()
    rows = [torch.nn.Parameter(row.clone()) for row in codes.codes]
    adams = [torch.optim.Adam([row], lr=0.03, betas=(0.5, 0.999)) for row in rows]
    for index, gradient in batches(50):
        codes.step(index, gradient, 0.03)
        for i, g in zip(index.tolist(), gradient, strict=True):
            rows[i].grad = g
            adams[i].step()
    torch.testing.assert_close(codes.codes, torch.stack(list(rows)).detach(), atol=1e-6, rtol=1e-5)
    assert codes.updates.sum() == 50 * 4


def test_gradients_of_a_row_held_twice_are_summed():
    once, twice = table(), table()
    g = torch.randn(3, 5)
    once.step(torch.tensor([4, 2]), torch.stack([g[0] + g[2], g[1]]), 0.1)
    twice.step(torch.tensor([4, 2, 4]), g, 0.1)
    torch.testing.assert_close(once.codes, twice.codes)
    assert twice.updates[4] == 1


def test_the_order_of_the_batch_does_not_matter():
    a, b = table(), table()
    index, gradient = next(batches(1))
    a.step(index, gradient, 0.1)
    b.step(index.flip(0), gradient.flip(0), 0.1)
    assert torch.equal(a.codes, b.codes)


def test_relabelling_the_images_relabels_the_codes():
    order = torch.randperm(12, generator=torch.Generator().manual_seed(3))
    a = table()
    b = CodeTable(a.codes[order])
    place = order.argsort()  # where row i of a is found in b
    for index, gradient in batches(10):
        a.step(index, gradient, 0.1)
        b.step(place[index], gradient, 0.1)
    assert torch.equal(a.codes[order], b.codes)


def test_moved_rows_are_projected_and_others_are_not():
    codes, index = table(), torch.tensor([1, 5])
    before = codes.codes.clone()
    codes.step(index, torch.randn(2, 5), 0.1, project=torch.nn.functional.normalize)
    torch.testing.assert_close(codes.codes[index].norm(dim=1), torch.ones(2))
    assert torch.equal(codes.codes[0], before[0])


def test_gradient_descent_moves_by_the_gradient():
    codes, index = table(), torch.tensor([1, 5])
    before, g = codes.codes.clone(), torch.randn(2, 5)
    codes.descend(index, g, 0.5)
    torch.testing.assert_close(codes.codes[index], before[index] - 0.5 * g)
    assert torch.equal(codes.codes[0], before[0])


def test_codes_are_state_and_no_parameters():
    codes = table()
    assert not list(codes.parameters())
    assert set(codes.state_dict()) == {"codes", "mean", "square", "updates"}
    copy = table(seed=1)
    copy.load_state_dict(codes.state_dict())
    for index, gradient in batches(3):
        codes.step(index, gradient, 0.1)
        copy.step(index, gradient, 0.1)
    assert torch.equal(codes.codes, copy.codes)


@pytest.mark.skipif(not distributed.is_gloo_available(), reason="torch was built without gloo")
def test_two_processes_equal_one_with_the_same_global_batch(tmp_path):
    multiprocessing.spawn(share, args=(2, tmp_path / "store", tmp_path), nprocs=2)
    one, first, second = table(), *(torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    for index, gradient in batches(10):
        one.step(index, gradient, 0.05)
    for name, value in one.state_dict().items():
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], value)


def test_a_step_costs_little_however_large_the_table():
    codes = CodeTable(torch.zeros(60_000, 100))
    index, gradient = torch.randperm(60_000)[:64], torch.randn(64, 100)
    codes.step(index, gradient, 0.1)
    started = time.process_time()
    for _ in range(20):
        codes.step(index, gradient, 0.1)
    assert (time.process_time() - started) / 20 < 0.01  # 0.2 ms where a dense Adam takes 15 ms
