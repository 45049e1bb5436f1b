"""What two sides said, compared; and what each format may do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest

from trainer.export.gguf_tensors import KINDS
from trainer.export.kquants import KQUANTS
from trainer.export.parity_bounds import BOUNDS, bound_between, bound_of
from trainer.export.parity_judge import Reference, Said, first_difference, judge
from trainer.export.parity_report import (
    ArtefactReport,
    Candidate,
    Divergence,
    ParityReport,
    PromptDifference,
    PromptResult,
    SideReport,
    worst,
)

END, BOUND = 9, bound_between("q8_0")


def spell(ids: Sequence[int]) -> str:
    return " ".join(map(str, ids))


TOP = ({3: -0.5, 4: -0.55, 5: -2.0}, {9: -0.1, 6: -2.4})
MINE = Said([1, 2], [3, END], [-0.5, -0.1], TOP)
REFERENCE = Reference(["a?"], [MINE], (END,), spell)


def test_the_same_is_the_same() -> None:
    found = judge(REFERENCE, [replace(MINE, logprobs=[-0.51, -0.1])], [END, 7], BOUND)
    assert (found.verdict, found.reasons) == ("same", [])
    assert found.mean == pytest.approx(0.005) and found.largest == pytest.approx(0.01)
    assert found.prompts[0].answer is None and found.prompts[0].prompt is None


def test_a_near_tie_is_close_and_told_with_both_likelihoods() -> None:
    side = Said([1, 2], [4, END], [-0.55, -0.1], ({4: -0.5, 3: -0.55}, {9: -0.1}))
    found = judge(REFERENCE, [side], [END], BOUND)
    assert found.verdict == "close" and "1 of 1" in found.reasons[0]
    parting = found.prompts[0].answer
    assert parting is not None and parting.explained and parting.at == 0
    assert parting.margin == pytest.approx(0.05)
    assert parting.reference == Candidate(id=3, text="3", by_reference=-0.5, by_artefact=-0.55)
    assert parting.artefact == Candidate(id=4, text="4", by_reference=-0.55, by_artefact=-0.5)


@pytest.mark.parametrize(("answer", "said"), [
    ([5, END], "surer than this format's rounding explains, by up to 1.5"),
    ([8, END], "surer than"), ([3], "surer than"), ([3, END, 3], "surer than")])
def test_another_answer_where_the_model_was_sure_is_different(answer: list[int],
                                                              said: str) -> None:
    found = judge(REFERENCE, [replace(MINE, answer=answer)], [END], BOUND)
    assert found.verdict == "different" and said in found.reasons[0]
    parting = found.prompts[0].answer
    assert parting is not None and not parting.explained
    assert (parting.artefact is None) == (answer == [3])
    assert (parting.reference is None) == (len(answer) == 3)


def test_other_prompts_are_different_and_explain_no_answer() -> None:
    side = Said([1, 7, 2], [4], [-0.5, -0.1], TOP)
    found = judge(REFERENCE, [side], [END], BOUND)
    assert found.verdict == "different" and "1 of 1 prompts become other tokens" in found.reasons[0]
    one = found.prompts[0]
    assert one.prompt == PromptDifference(at=1, reference="2", artefact="7 2")
    assert one.answer is not None and not one.answer.explained
    refused = judge(REFERENCE, [replace(MINE, prompt=[], error="no such role")], [END], BOUND)
    assert refused.verdict == "different"
    assert refused.reasons == ["1 of 1 prompts cannot be made: no such role"]


def test_an_end_that_is_missing_is_different_though_no_answer_needed_it() -> None:
    found = judge(REFERENCE, [MINE], [7], BOUND)
    assert found.verdict == "different"
    assert found.reasons == ["Answers do not end at 9, as they do in training."]


@pytest.mark.parametrize(("logprobs", "said"), [
    ([-0.9, -0.1], "beyond what this format does"), ([-0.55, -0.15], "beyond"),
    ([math.nan, -0.1], "no numbers"), ([-math.inf, -0.1], "no numbers"), ([], "No token")])
def test_distance_beyond_the_format_is_different(logprobs: list[float], said: str) -> None:
    found = judge(REFERENCE, [replace(MINE, logprobs=logprobs)], [END], BOUND)
    assert found.verdict == "different" and said in found.reasons[-1]
    assert found.largest is None or math.isfinite(found.largest)


@pytest.mark.parametrize(("one", "other", "at"), [
    ([], [], None), ([1], [1], None), ([1], [2], 0), ([1, 2], [1], 1), ([1], [1, 2], 1)])
def test_first_difference(one: list[int], other: list[int], at: int | None) -> None:
    assert first_difference(one, other) == at


def test_every_format_has_a_bound_with_a_reason() -> None:
    for kind in (*KINDS, *KQUANTS, "float32", "bfloat16", "float16", "gptq", "awq", "fp8", "int8"):
        found = bound_of(kind)
        assert found is not None and found.why, kind
    assert bound_of("gguf-q4_k_m") == bound_of("q4_0") == BOUNDS["q4"]
    assert bound_of("Q8_0") == BOUNDS["q8_0"] and bound_of("unheard") is None


def test_what_rounds_most_decides() -> None:
    order = ["f32", "f16", "bf16", "q8_0", "q6_k", "q5", "q4", "q3", "q2"]
    for fine, coarse in pairwise(order):
        a, b = BOUNDS[fine], BOUNDS[coarse]
        assert a.mean < b.mean and a.largest < b.largest and a.tie <= b.tie
        assert bound_between(fine, coarse) == bound_between(coarse, "", fine) == b
    assert bound_between("unheard") == BOUNDS["q4"] and bound_between() == BOUNDS["f32"]


def report() -> ParityReport:
    parted = Divergence(at=2, reference=Candidate(id=3, text="`|\n", by_reference=-0.5),
                        artefact=Candidate(id=4, text="<b>"), margin=0.05, explained=True)
    results = [PromptResult(text="Why?", reference="a", artefact="b", answer=parted),
               PromptResult(text="x" * 99, reference="", artefact="", prompt=PromptDifference(
                   at=4, reference="<|im_end|>", artefact="你好")),
               PromptResult(text="fine", reference="", artefact="")]
    sides = [SideReport(program="Transformers", version="5", verdict="close", mean=0.01,
                        largest=0.2, reasons=["a [link](http://x)"], prompts=results),
             SideReport(program="vLLM", verdict="not run", reasons=["It is not installed."],
                        advice="make vllm")]
    return ParityReport(run="my_run", reference="as trained", prompts_from="held-out rows",
                        prompts=3, max_new_tokens=8, artefacts=[
                            ArtefactReport(kind="merged", format="stored", name="m", sides=sides)])


def test_the_report_as_json_and_back() -> None:
    made = report()
    told = made.to_json()
    assert told["verdict"] == told["artefacts"][0]["verdict"] == "close"
    assert told["artefacts"][0]["sides"][0]["prompts_same"] == 2
    assert told["artefacts"][0]["sides"][0]["answers_same"] == 2
    assert ParityReport.model_validate(told) == made


def test_the_report_as_markdown_shows_text_as_text() -> None:
    shown = report().to_markdown(3)
    assert shown.startswith("### Is it the same model?\n")
    assert "| merged stored | Transformers 5 | **close** | 2 of 3 | 2 of 3 | 0.0100 | 0.2000 |" \
        in shown
    assert "| merged stored | vLLM | **not run** |  |  |  |  |" in shown
    assert "To have it checked: `` make vllm ``" in shown
    assert "`` ’¦\\n `` (trained -0.5000, artefact not among the best)" in shown
    assert "a near tie, 0.050 apart" in shown and "`` 你好 ``" in shown
    assert r"- a \[link\](http\://x)" in shown and "x" * 61 not in shown


def test_the_worst_verdict_counts_and_what_was_not_run_does_not() -> None:
    assert worst([]) == worst(["not run"]) == "not run"
    assert worst(["not run", "same"]) == "same"
    assert worst(["close", "same"]) == "close"
    assert worst(["different", "close", "not run"]) == "different"
