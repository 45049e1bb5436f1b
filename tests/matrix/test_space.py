"""The matrix leaves no field out unsaid, and its pairs are all there."""

from itertools import product

import pytest

from tests.matrix.plan import pairs_of
from tests.matrix.space import (
    LEFT_OUT,
    OTHERS,
    always,
    choices_of,
    is_factor,
    rows,
    shown,
)
from trainer.contract.config import all_fields, default_of


def test_every_field_is_combined_or_left_out_with_a_reason():
    fields = all_fields()
    assert set(OTHERS) | set(LEFT_OUT) <= set(fields)
    assert not set(OTHERS) & set(LEFT_OUT)
    alone = [path for path, info in fields.items() if len(choices_of(info)) == 1
             and path not in LEFT_OUT and not is_factor(info)]
    assert alone == []
    assert all(default_of(path) not in values for path, values in OTHERS.items())


@pytest.mark.long
def test_every_pair_of_the_fields_that_are_always_there_is_asked_for():
    asked = set().union(*map(pairs_of, rows()))
    for first in always():
        for second in always():
            if first.path < second.path:
                wanted = {(first.path, shown(a), second.path, shown(b))
                          for a, b in product(choices_of(first), choices_of(second))}
                assert wanted <= asked, (first.path, second.path)
