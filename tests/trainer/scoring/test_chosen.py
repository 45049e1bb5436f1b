import pytest

from tests.trainer.scoring.making import said
from trainer.contract.consent import digest, metric_places, metric_problems
from trainer.contract.kinds.evaluate import MetricUse
from trainer.evaluation.seam import Ask
from trainer.failures import Failure
from trainer.scoring import Prediction
from trainer.scoring.chosen import Context, build, chosen_for

TEXTS = ["rouge", "chrf"]
ASKED = ({"role": "user", "content": "?"},)


def asks(*references, **more):
    return [Ask("data", row, ASKED, references=(text,), **more)
            for row, text in enumerate(references, 1)]


def names(rows):
    found = chosen_for(rows)
    assert all(len(one.reason) > 10 for one in found)
    return [one.use.name for one in found]


@pytest.mark.parametrize(("rows", "wanted"), [
    (asks("A", choices=("x", "y"), right_choice=0), ["multiple_choice"]),
    (asks("", expected_calls=({"name": "f", "arguments": {}},)), ["tool_calls"]),
    (asks("spam", "no spam", label="spam"), ["classification"]),
    (asks("12", "1,000", "$5"), ["numeric"]), (asks("So\n#### 12", "9"), ["numeric"]),
    (asks('{"a": 1}', "[1]", '```json\n{"b": 2}\n```'), ["json"]),
    (asks("Paris", "12", "New York City"), ["exact_match"]), (asks("巴黎"), ["exact_match"]),
    (asks("Paris is the capital of France."), TEXTS), (asks("长" * 61), TEXTS),
    (asks("{not json} at all, is it", "[1]"), TEXTS), (asks("", " \n"), []), ([], []),
    (asks("12", "", "\0" * 9 + "7"), ["exact_match"]), (asks("\ud800", "x" * 10**6), TEXTS),
    ([Ask("data", 1, text="Once upon a time")], ["likelihood"]),
    ([Ask("data", 1, text="Once", references=(" upon a time.",))], ["likelihood"])])
def test_the_data_choose(rows, wanted):
    assert names(rows) == wanted


def test_rows_of_two_kinds_have_a_metric_each():
    rows = [*asks("", expected_calls=({"name": "f", "arguments": {}},)),
            *asks("I have no tool for that, sorry.", expected_calls=())]
    assert names(rows) == ["tool_calls", "rouge", "chrf"]


def test_what_is_chosen_can_be_made():
    for rows in (asks("12"), asks("{}"), asks("a"), asks("a b c d e f"), asks("x", label="x")):
        assert build([one.use for one in chosen_for(rows)])


def test_options_of_the_config_reach_the_metric(tmp_path):
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "array"}', encoding="utf-8")
    for given in (str(schema), '{"type": "array"}'):
        [metric] = build([MetricUse(name="json", json_schema=given)])
        assert [one.value for one in metric.score(said(("[]", ""), ("{}", "")))] == [1, 0.5]
    [metric] = build([MetricUse(name="exact_match", normalise=["case"])])
    assert metric.score(said(("A", "a")))[0].value == 1
    asked = []

    def embed(model):
        asked.append(model)
        return lambda texts: [[1.0, len(text)] for text in texts]

    [metric] = build([MetricUse(name="embedding", model="run-1")], Context(embed))
    assert asked == ["run-1"]
    [scores] = metric.score([Prediction(1, "?", "ab", ("cd",))])
    assert scores.value == pytest.approx(1) and scores.detail == "by run-1"


@pytest.mark.parametrize(("use", "code", "words"), [
    (MetricUse(name="code"), "code_consent", "nobody has consented"),
    (MetricUse(name="python", path="none.py", sha256="0" * 64), "metric_file", "none.py"),
    (MetricUse(name="json", json_schema="none.json"), "reward_schema", "none.json"),
    (MetricUse(name="json", json_schema="~nobody-of-that-name/x"), "reward_schema", "No such"),
    (MetricUse(name="json", json_schema=__file__), "reward_schema", "not JSON"),
    (MetricUse(name="json", json_schema='{"not":' * 300 + "{}" + "}" * 300), "reward_schema",
     "no JSON schema: maximum recursion"),
    (MetricUse(name="json", json_schema='{"type": "whole"}'), "reward_schema", "no JSON schema"),
    (MetricUse(name="regex", pattern="a", whole=True), "", ""),
    (MetricUse(name="rouge", tokenizer="mine"), "metric_option", "no tokenizer 'mine'"),
    (MetricUse(name="embedding", model="starter"), "metric_embedding", "needs a model")])
def test_what_cannot_be_made_says_why(use, code, words):
    if not code:
        assert build([use])
        return
    with pytest.raises(Failure) as raised:
        build([use])
    assert raised.value.code == code and words in str(raised.value) and raised.value.advice


def test_a_missing_package_is_a_problem_before_the_run(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    uses = [MetricUse(name=name) for name in ("rouge", "bleu", "chrf", "json", "numeric")]
    uses.append(MetricUse(name="json", json_schema="{}"))
    found = metric_problems(uses)
    assert [(p.field, p.code) for p in found] == [
        (f"metrics.{at}", "metric_package") for at in (0, 1, 2, 5)]
    assert "'rouge-score'" in found[0].message and "finestra[eval]" in found[0].advice


def test_consent_is_asked_for_before_the_run(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def score(p, a, r): return [0] * len(a)", encoding="utf-8")
    mine, code = MetricUse(name="python", path=str(path)), MetricUse(name="code")
    assert [(p.field, p.code) for p in metric_problems([mine, code])] == [
        ("metrics.0.sha256", "metric_consent"), ("metrics.1.consent", "code_consent")]
    given = [mine.model_copy(update={"sha256": digest(path)}),
             code.model_copy(update={"consent": True})]
    assert metric_problems(given) == []
    path.write_text("x = 1", encoding="utf-8")
    assert [p.code for p in metric_problems(given)] == ["metric_changed"]


def test_the_places_that_a_metric_names():
    assert metric_places(MetricUse(name="python", path="~/a.py")) == {"path": "~/a.py"}
    assert metric_places(MetricUse(name="embedding", model="b")) == {"model": "b"}
    assert metric_places(MetricUse(name="json", json_schema=" {}")) == {}
    assert metric_places(MetricUse(name="json", json_schema="/c")) == {"json_schema": "/c"}
