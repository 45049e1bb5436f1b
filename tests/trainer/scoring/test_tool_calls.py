import pytest

from tests.trainer.scoring.making import values
from trainer.failures import Failure
from trainer.scoring import Prediction, make

WEATHER = {"name": "weather", "arguments": {"city": "Rome", "days": 2}}
CLOCK = {"name": "clock", "arguments": {}}
# As OpenAI's API returns it: arguments as text.
OPENAI = {"id": "x1", "type": "function",
          "function": {"name": "weather", "arguments": '{"days": 2.0, "city": "Rome"}'}}
OTHER_CITY = {"name": "weather", "arguments": {"city": "Bonn", "days": 2}}
NOT_ONE = {"name": "weather", "arguments": {"city": "Rome", "days": True}}


def row(wanted, calls=None, output: str = "") -> Prediction:
    return Prediction(1, "?", output, expected_calls=wanted, calls=calls)


@pytest.mark.parametrize(("wanted", "calls", "name", "call"), [
    ((WEATHER,), (OPENAI,), 1, 1), ((WEATHER,), (OTHER_CITY,), 1, 0), ((WEATHER,), (CLOCK,), 0, 0),
    ((WEATHER, CLOCK), (CLOCK, WEATHER), 1, 1), ((WEATHER,), (WEATHER, WEATHER), 0, 0),
    ((WEATHER,), (), 0, 0), ((), (), 1, 1), ((), (CLOCK,), 0, 0), (None, (CLOCK,), None, None),
    ((WEATHER,), ({"name": "weather", "arguments": "{broken"},), 0, 0),
    (({"name": "weather", "arguments": {"city": "Rome", "days": 1}},), (NOT_ONE,), 1, 0)])
def test_names_and_arguments(wanted, calls, name, call):
    assert [values(s)[0] for s in make("tool_calls").score([row(wanted, calls)])] == [name, call]


def test_the_order_may_count():
    ordered = make("tool_calls", ordered=True)
    assert values(ordered.score([row((WEATHER, CLOCK), (CLOCK, WEATHER))])[1]) == [0]


def test_calls_are_read_from_an_answer_that_is_json():
    text = '{"name": "weather", "arguments": {"city": "Rome", "days": 2}}'
    found = make("tool_calls").score([row((WEATHER,), None, text), row((WEATHER,), None, "Hello"),
                                      row((), None, "[1, 2]")])[1]
    assert values(found) == [1, 0, 1]


def test_arguments_nested_too_deeply_are_wrong():
    deep = '{"name": "weather", "arguments": {"city": ' + "[" * 990 + "]" * 990 + "}}"
    value: list = []
    for _ in range(5000):
        value = [value]
    given = ({"name": "weather", "arguments": {"city": value}},)
    found = make("tool_calls").score([row((WEATHER,), None, deep), row((WEATHER,), given)])[1]
    assert values(found) == [0, 0]


def test_expected_calls_that_are_none_are_named():
    with pytest.raises(Failure, match="Row 1 has a call without a name"):
        make("tool_calls").score([row(({"arguments": {}},), ())])
