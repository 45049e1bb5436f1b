"""The load generator and the stub engine, on a load that takes half a second."""

import time

from bench import serving


def test_every_chunk_comes_at_the_rate_that_was_asked_for(monkeypatch):
    monkeypatch.setattr(serving, "STREAMS", 4)
    monkeypatch.setattr(serving, "QUESTIONS", 3)
    monkeypatch.setattr(serving, "CHUNKS", (50, 50))
    with serving.engine(2000) as base_url:
        begin = time.perf_counter()
        found = serving.load(base_url, "stub", seed=1)
        took = time.perf_counter() - begin
    assert len(found.first_s) == 12 and 0 < min(found.first_s) <= max(found.first_s) < took
    # 600 chunks, of which the twelve first ones are not waited for.
    assert 588 / took <= 2000 * 1.1 and found.chunks_per_s >= 600 / took
