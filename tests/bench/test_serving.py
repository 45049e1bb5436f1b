"""The load generator and the stub engine, on a load that takes half a second."""

import time

from bench import serving
from bench.streams import Load, Plan, run


def test_every_chunk_comes_at_the_rate_that_was_asked_for():
    found = Load()
    with serving.engine(2000) as route:
        begin = time.perf_counter()
        run(route, Plan(streams=4, questions=3, lengths=(50, 50)), 1, found)
        took = time.perf_counter() - begin
    assert found.chunks == [600]
    assert len(found.firsts) == 12 and 0 < min(found.firsts) <= max(found.firsts) < took
    # 600 chunks, of which the twelve first ones are not waited for.
    assert 588 / took <= 2000 * 1.1 and found.rate >= 600 / took


def test_a_plan_is_the_same_for_both_sides():
    plan = Plan(streams=2, questions=3, lengths=(10, 20))
    assert plan.draw(1) == plan.draw(1) != plan.draw(2)
    assert [len(row) for row in plan.draw(1)] == [3, 3]
    assert all(10 <= length <= 20 for row in plan.draw(1) for length in row)
