import pytest

from tests.trainer.scoring.making import only, said, values
from trainer.failures import Failure
from trainer.scoring import make

SCHEMA = {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}


@pytest.mark.parametrize(("text", "value"), [
    ('{"a": 1}', 1), ("[1, 2]", 1), ('"text"', 1), ("```json\n{}\n```", 1), ("", 0),
    (" ```\n[1]```\n", 1), ("```python\n{}\n```", 0), ("```", 0), ("```{}```", 0),
    ("```json\n" + "\n" * 100_000, 0), ("```json\n" + "\n" * 100_000 + "1```", 1),
    ("{'a': 1}", 0), ('{"a": NaN}', 0), ('{"a": 1} and more', 0), ("[" * 100_000, 0),
    ('"\ud800"', 1), ("{}\0", 0), ('"' + "x" * 300_000 + '"', 0), ("9" * 5000, 0)])
def test_json_is_what_the_standard_says(text, value):
    assert values(only("json", said((text, "")))) == [value]


def test_a_schema_is_asked_as_well():
    rows = said(('{"a": 1}', ""), ('{"a": "1"}', ""), ("[]", ""), ("no", ""))
    valid, allowed = make("json", schema=SCHEMA).score(rows)
    assert (valid.name, allowed.name) == ("json_valid", "json_schema")
    assert (values(valid), values(allowed)) == ([1, 1, 1, 0], [1, 0, 0, 0])


def test_what_the_schema_refuses_has_not_the_form():
    metric, bare = make("json", schema=SCHEMA), make("json")
    row = said(("{}", ""))[0]
    assert bare.formed(row) and not metric.formed(row)


def test_what_is_no_schema_is_refused():
    with pytest.raises(Failure, match="no JSON schema"):
        make("json", schema={"type": "whole"})
