"""Batches, splits and subsets are pure functions of their seeds."""

import numpy as np
import pytest

from latent_ot.datasets.order import _epoch, batch_rows, held_out, numpy_generator, stratified_rows


@pytest.mark.parametrize(("count", "rows"), [(10, 3), (10, 10), (7, 64), (1, 5), (1000, 128)])
def test_a_batch_depends_on_seed_and_step_alone(count, rows):
    forward = [batch_rows(3, count, rows, t) for t in range(20)]
    _epoch.cache_clear()
    backward = [batch_rows(3, count, rows, t) for t in reversed(range(20))][::-1]
    for a, b in zip(forward, backward, strict=True):
        assert a.dtype == np.int64
        assert a.shape == (rows,)
        assert 0 <= a.min() <= a.max() < count
        assert np.array_equal(a, b)


def test_other_seeds_and_other_epochs_have_other_orders():
    first = batch_rows(0, 1000, 100, 0)
    assert not np.array_equal(first, batch_rows(1, 1000, 100, 0))
    assert not np.array_equal(first, batch_rows(0, 1000, 100, 10))


@pytest.mark.parametrize(("count", "rows"), [(100, 7), (100, 10), (64, 64)])
def test_an_epoch_visits_no_row_twice(count, rows):
    per_epoch = count // rows
    for epoch in range(5):
        seen = np.concatenate([batch_rows(0, count, rows, epoch * per_epoch + t) for t in range(per_epoch)])
        assert len(np.unique(seen)) == len(seen) == per_epoch * rows


@pytest.mark.parametrize(("count", "rows"), [(3, 8), (5, 12), (4, 4)])
def test_a_set_smaller_than_a_batch_is_laid_end_to_end(count, rows):
    drawn = np.concatenate([batch_rows(0, count, rows, t) for t in range(count)])
    for epoch in drawn.reshape(-1, count):
        assert np.array_equal(np.sort(epoch), np.arange(count))
    for t in range(count):
        times = np.bincount(batch_rows(0, count, rows, t), minlength=count)
        assert times.max() - times.min() <= 2


def test_every_row_is_drawn_equally_often_in_the_long_run():
    drawn = np.concatenate([batch_rows(0, 50, 8, t) for t in range(3000)])  # 500 epochs that drop 2 of 50 rows each
    times = np.bincount(drawn, minlength=50)
    expected, spread = 480, np.sqrt(500 * 0.96 * 0.04)
    assert np.abs(times - expected).max() < 5 * spread


def test_callers_cannot_change_the_order_of_others():
    batch_rows(0, 10, 5, 0)[:] = 0
    assert len(np.unique(batch_rows(0, 10, 5, 0))) == 5


@pytest.mark.parametrize("count", [1, 9, 10, 37, 100])
def test_a_stratified_draw_keeps_each_class_share_to_within_one(count):
    labels = np.repeat([4, 2, 9], [50, 30, 20])
    rows = stratified_rows(labels, count, numpy_generator(0, "test"))
    assert len(np.unique(rows)) == len(rows) == count
    shares = np.array([(labels[rows] == c).sum() for c in (4, 2, 9)])
    assert np.abs(shares - count * np.array([0.5, 0.3, 0.2])).max() < 1


def test_a_split_is_a_partition_in_mixed_order():
    labels = np.repeat(np.arange(10), 50)
    train, test = held_out(labels, 100, "test")
    assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(500))
    assert np.array_equal(np.bincount(labels[test]), np.full(10, 10))
    assert len(np.unique(labels[test[:30]])) > 5  # the first rows stand for all, not for one class
