from app.token_lengths import summary


def test_percentiles_are_lengths_that_occur():
    assert summary(list(range(1, 101)), 90) == {
        "p50": 50, "p95": 95, "max": 100, "over_max_length": 10}
    assert summary([7], 7) == {"p50": 7, "p95": 7, "max": 7, "over_max_length": 0}
