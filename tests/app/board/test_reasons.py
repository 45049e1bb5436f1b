"""The engine's own automatic choices and estimates, said in Chinese."""

import ast
import itertools
import re
import typing
from collections.abc import Iterator

import pytest

from app.board.i18n import reason_text
from app.board.i18n.zh_reasons import REASONS
from app.board.pages import _run_html
from app.rebuild import NEVER_STARTED
from app.runs import Run, RunState
from app.studio import Studio
from tests.source_tree import called, modules
from trainer.contract import RunConfig
from trainer.contract.choose import BF16_UNITS, choose_dtype
from trainer.contract.config.optimizers import OPTIMIZERS
from trainer.contract.judging import estimate as estimate_judge
from trainer.contract.kinds.evaluate import JudgeConfig
from trainer.contract.models import ModelFacts
from trainer.contract.plan import Setting, estimate
from trainer.evaluation.seam import Ask
from trainer.scoring.chosen import chosen_for

QUESTION = ({"role": "user", "content": "Which?"},)
FACTS = ModelFacts({"hidden_size": 8, "num_hidden_layers": 2}, {
    "model.layers.0.self_attn.q_proj.weight": ((8, 8), "BF16"),
    "model.embed_tokens.weight": ((16, 8), "BF16")})


def configs():
    for optim, tuner, checkpointing in itertools.product(
            typing.get_args(OPTIMIZERS), ("lora", "full", "nf4"), (False, True)):
        yield RunConfig.model_validate({
            "objective": "dpo", "tuner": {"type": "lora" if tuner == "nf4" else tuner},
            "model": {"quantization": "nf4" if tuner == "nf4" else "none"},
            "training": {"optim": optim, "gradient_checkpointing": checkpointing}})


def is_chinese(words: str) -> bool:
    return bool(re.search(r"[\u4e00-\u9fff]", words)) and "{" not in words


@pytest.mark.parametrize("facts", [FACTS, ModelFacts({}, FACTS.tensors)])
def test_every_part_of_every_estimate(facts):
    for config, dtype in itertools.product(configs(), ("float32", "bfloat16")):
        setting = Setting(dtype=dtype, device_kind="cpu", available_bytes=10**9, rows=10)
        for part in estimate(config, facts, setting).parts:
            assert is_chinese(reason_text("zh", part.reason)), part.reason
            assert reason_text("en", part.reason) == part.reason


@pytest.mark.parametrize("asked", ["auto", "float32"])
@pytest.mark.parametrize(("kind", "capability"), [("cpu", None), ("cuda", None),
                                                  ("cuda", (7, 5)), ("cuda", (9, 0))])
def test_every_number_format(asked, kind, capability):
    reason = choose_dtype(asked, kind, capability)[1]
    assert is_chinese(reason_text("zh", reason)), reason
    assert is_chinese(reason_text("zh", BF16_UNITS))


@pytest.mark.parametrize("reason", [
    "Stopped before it started.", NEVER_STARTED, "The run could not be started: No space left."])
def test_ends_that_have_no_code(tmp_path, reason):
    run = Run("r", "r", RunState.STOPPED, tmp_path, reason=reason)
    shown = _run_html.health("zh", run, [], resume_step=0, result=None)
    assert reason not in shown and reason_text("zh", reason) in shown
    assert is_chinese(reason_text("zh", reason))
    assert reason in _run_html.health("en", run, [], resume_step=0, result=None)


def test_a_stop_in_the_queue_is_told_in_chinese(tmp_path, monkeypatch):
    monkeypatch.setattr("app.scheduler.Scheduler.tick", lambda self: None)
    studio = Studio.open(tmp_path / "home")
    try:
        run = studio.stop(studio.create({}).id)
    finally:
        studio.close()
    assert is_chinese(reason_text("zh", run.reason))


def test_values_are_kept_and_strange_reasons_pass():
    told = reason_text("zh", "columns 'a' and 'b' in all 5 rows; 1,200 rows; 3 rows are skipped")
    assert "1,200" in told and "3" in told and "columns 'a'" in told
    assert reason_text("zh", "something new") == "something new"


def written(node: ast.expr) -> str:
    """Return a text of the source with a number in place of what is filled in; '' if none."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(p.value if isinstance(p, ast.Constant) else "7" for p in node.values)
    return ""


def reasons_in_source() -> set[str]:
    """Return every reason that stands where a choice is made."""
    calls = [node for module in modules("app", "trainer") for node in ast.walk(module.tree)
             if isinstance(node, ast.Call) and called(node) in ("choose", "Choice") and node.args]
    return {text for call in calls if re.search("[a-z]{3} [a-z]{2}", text := written(call.args[-1]))
            and len(call.args) > 1}


def test_every_reason_that_is_written_out_is_known():
    reasons = reasons_in_source()
    assert len(reasons) > 15
    assert [text for text in sorted(reasons) if not is_chinese(reason_text("zh", text))] == []


def notes_in_source() -> Iterator[ast.expr]:
    """Yield what an evaluation notes of its rows and scores; a judge's notes are tested there."""
    for module in modules("trainer/evaluation"):
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("notes.append"):
                yield node.args[0]
            elif isinstance(node, ast.AugAssign) and isinstance(node.value, ast.ListComp) \
                    and ast.unparse(node.target).endswith(".notes"):
                yield node.value.elt


def test_every_note_of_an_evaluation_is_known():
    notes = {written(node) for node in notes_in_source()} - {""}
    assert len(notes) >= 7
    assert [text for text in sorted(notes) if not is_chinese(reason_text("zh", text))] == []


@pytest.mark.parametrize("wish", [
    {"mode": "score"}, {"mode": "pairwise"}, {"mode": "pairwise", "swap": False}])
@pytest.mark.parametrize("votes", [0, 12])
def test_what_a_judge_costs(wish, votes):
    config = JudgeConfig.model_validate({"model": "starter", **wish})
    reason = estimate_judge(config, [1200], 100, 100, models=3, votes=votes).reason
    told = reason_text("zh", reason)
    assert is_chinese(told) and not re.search("[a-z]{3} [a-z]{3}", told), told


@pytest.mark.parametrize("ask", [
    {"messages": QUESTION, "choices": ("a", "b"), "right_choice": 0}, {"text": "a text"},
    {"messages": QUESTION, "expected_calls": ()}, {"messages": QUESTION, "label": "x"},
    *({"messages": QUESTION, "references": (answer,)}
      for answer in ("so #### 7", '{"a": 1}', "yes", "a longer answer " * 20))])
def test_why_rows_are_scored_as_they_are(ask):
    found = chosen_for([Ask("data", 1, **ask)])
    assert found
    for chosen in found:
        assert is_chinese(reason_text("zh", chosen.reason)), chosen.reason


def test_both_texts_have_the_same_marks():
    for english, chinese in REASONS.items():
        assert sorted(re.findall(r"\{\w+\}", english)) == sorted(re.findall(r"\{\w+\}", chinese))
