"""What a judge will cost, and that the estimate is what is asked then."""

import pytest

from trainer.contract.judging import CHARS_PER_TOKEN, estimate
from trainer.contract.kinds.evaluate import JudgeConfig
from trainer.contract.rubrics import RUBRICS
from trainer.contract.votes import Voted
from trainer.evaluation.judging.plan import rows_of
from trainer.evaluation.judging.wish import JudgeWish


def test_calls_and_cost_by_hand() -> None:
    config = JudgeConfig(model="lab/j", max_new_tokens=500, limit=100, price_in=2.5, price_out=10)
    found = estimate(config, [1319, 40], 300, 700, models=3, votes=250)
    assert found.calls == (100 + 40) * 2 * 2 + 100 * 2
    assert found.tokens_out == found.calls * 500
    assert found.cost == pytest.approx(found.tokens_in * 2.5e-6 + found.tokens_out * 10e-6)
    assert "140 rows of 2 models beside the first, in both orders" in found.reason
    once = estimate(config.model_copy(update={"swap": False}), [10], 0, 0, models=2)
    assert once.calls == 10
    points = estimate(config.model_copy(update={"mode": "score"}), [10], 0, 0, models=3, votes=4)
    assert points.calls == 38 and "once each" in points.reason


def test_no_judge_and_no_price() -> None:
    assert estimate(JudgeConfig(), [10], 100, 100, models=2).calls == 0
    assert estimate(JudgeConfig(model="j"), [10], 100, 100, models=2).cost is None
    assert estimate(JudgeConfig(model="j", price_in=0), [10], 1, 1, models=2).cost == 0


@pytest.mark.parametrize("mode", ["pairwise", "score"])
@pytest.mark.parametrize("rubric", [*sorted(RUBRICS), "One's own text"])
def test_the_estimate_is_what_is_asked(mode: str, rubric: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    config = JudgeConfig.model_validate({"model": "j", "mode": mode, "rubric": rubric, "limit": 7})
    predictions = {model: [{"dataset": "d", "row": row, "prompt": "p" * 400,
                            "prediction": f"{model} {row} " + "a" * 792}
                           for row in range(1, 11)] for model in ("one", "two", "six")}
    votes = [Voted(({"role": "user", "content": "p" * 400},),
                   {"one": f"{row}" + "x" * 799, "two": "y" * 800}, "tie") for row in range(3)]
    rows = rows_of(JudgeWish(config, list(predictions), predictions, tmp_path, votes))
    asked = [question.text for row in rows for question in row.questions]
    found = estimate(config, [10], 400, 800, models=3, votes=3)
    assert found.calls == len(asked)
    assert found.tokens_in == pytest.approx(sum(map(len, asked)) / CHARS_PER_TOKEN, rel=0.15)
