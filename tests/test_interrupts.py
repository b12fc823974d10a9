"""A time limit is the user's first wish to stop, and never the second."""

import select
import time

from latent_ot.interrupts import heeded, until


def test_a_time_limit_ends_work_that_resumes(capsys):
    with heeded() as wish, until(time.monotonic() - 1.0, wish):
        assert select.select([wish.bell], [], [], 30.0)[0]
        assert wish.level == 1
    assert capsys.readouterr().err == "the time limit is reached\n"


def test_a_time_limit_that_is_not_reached_or_not_given_changes_nothing(capsys):
    for moment in (None, time.monotonic() + 3600):
        with heeded() as wish, until(moment, wish):
            assert not select.select([wish.bell], [], [], 0.0)[0]
        assert wish.level == 0
    assert capsys.readouterr().err == ""


def test_who_was_stopped_before_the_limit_is_not_ended_at_once():
    with heeded() as wish:
        wish.heard(2, None)
        with until(time.monotonic() - 1.0, wish) as _:
            time.sleep(0.05)  # the timer's thread has its turn
        assert wish.level == 1
