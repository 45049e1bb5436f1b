"""Evaluations as runs: asked, scored, compared, kept when stopped."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from trainer.contract.rundir import RunDir

QUESTIONS = [{"prompt": f"What is {n} + {n}?", "reference": str(2 * n)} for n in range(1, 201)]


def right(text: str) -> str:
    """Answer as a good model does: wrong at every tenth question."""
    n = int(text.split()[2])
    return f"It is {2 * n + (n % 10 == 0)}."


def worse(text: str) -> str:
    """Answer wrong at every fourth question more."""
    n = int(text.split()[2])
    return "It is 7 or so, who knows, -1." if n % 4 == 0 else right(text)


def equal(text: str) -> str:
    """Answer as well as the good model, wrong at others of the questions."""
    n = int(text.split()[2])
    return f"{2 * n + (n % 10 == 3)}"


def test_a_model_that_is_worse_is_called_so_and_an_equal_one_is_not(bench: Any) -> None:
    servers = [bench.endpoint(name, say) for name, say in
               (("good", right), ("worse", worse), ("equal", equal))]
    run = bench.make("e", models=["good/m", "worse/m", "equal/m"],
                     data=[bench.data("sums", QUESTIONS)], metrics=["numeric"])
    assert bench.go(run).outcome == "completed"
    report = bench.report(run)
    values = {one.model: one for one in report.results}
    assert [values[f"{name}/m"].value for name in ("good", "worse", "equal")] \
        == [0.9, 0.7, 0.9]
    assert values["good/m"].low < 0.9 < values["good/m"].high and values["good/m"].n == 200
    by_model = {one.b: one for one in report.comparisons}
    assert by_model["worse/m"].verdict == "worse" and by_model["worse/m"].p_adjusted < 1e-6
    assert by_model["worse/m"].difference == pytest.approx(-0.2)
    assert by_model["equal/m"].verdict == "unclear" and by_model["equal/m"].p_value > 0.5
    assert [len(server.asked) for server in servers] == [200, 200, 200]


def test_predictions_are_sorted_and_say_what_is_wrong(bench: Any) -> None:
    bench.endpoint("worse", worse)
    run = bench.make("e", models=["worse/m"], data=[bench.data("sums", QUESTIONS[:20])])
    end = bench.go(run)
    assert end.metrics == {"numeric/worse/m": 0.7} and end.outcome == "completed"
    lines = bench.lines(run, "predictions-01.jsonl")
    assert [line["row"] for line in lines] == list(range(1, 21))
    assert lines[0] == {"row": 1, "dataset": lines[0]["dataset"], "prompt": "What is 1 + 1?",
                        "reference": "2", "prediction": "It is 2.", "score": {"numeric": 1.0},
                        "mistake": "", "finish_reason": "stop", "tokens": 3}
    assert lines[3]["mistake"] == "content" and lines[3]["score"] == {"numeric": 0.0}
    (mistake,) = bench.report(run).mistakes
    assert (mistake.kind, mistake.count, mistake.rows) == ("content", 6, [4, 8, 10, 12, 16, 20])
    assert any("scored by numeric" in note for note in bench.report(run).notes)


def stopped_at(bench: Any, run: RunDir, count: int, say: Any) -> Any:
    """Have an evaluation stopped after so many answers."""
    def saying(text: str) -> str:
        if len(server.asked) == count:
            os.kill(os.getpid(), signal.SIGTERM)
        return str(say(text))

    server = bench.endpoint("slow", saying)
    return server


def test_a_stopped_evaluation_goes_on_where_it_was(bench: Any) -> None:
    run = bench.make("e", models=["slow/m"], data=[bench.data("sums", QUESTIONS[:60])],
                     batch_size=2)
    server = stopped_at(bench, run, 30, right)
    end = bench.go(run)
    assert end.outcome == "stopped" and "answers until here are kept" in end.message
    kept = len(bench.lines(run, "answers-01.jsonl")) - 1
    assert 28 <= kept <= 32
    before = len(server.asked)
    # A line that was being written when the machine went down is no answer.
    with (run.eval / "answers-01.jsonl").open("ab") as file:
        file.write(b'{"dataset": "sums", "row": 1, "tex')
    assert bench.go(run).outcome == "completed"
    assert len(server.asked) - before == 60 - kept
    (answered,) = bench.report(run).answered
    assert (answered.rows, answered.kept, answered.engine) == (60, kept, "endpoint")
    assert len({line["row"] for line in bench.lines(run, "predictions-01.jsonl")}) == 60
    after = len(server.asked)
    assert bench.go(run).outcome == "completed" and len(server.asked) == after


def test_answers_to_other_rows_are_asked_again(bench: Any) -> None:
    server = bench.endpoint("good", right)
    rows = [dict(row) for row in QUESTIONS[:10]]
    run = bench.make("e", models=["good/m"], data=[bench.data("sums", rows)])
    assert bench.go(run).outcome == "completed"
    rows[4]["prompt"] = "What is 50 + 50?"
    bench.data("sums", rows)
    assert bench.go(run).outcome == "completed"
    assert len(server.asked) == 11 and "1 rows have changed" in bench.warnings()["rows_changed"]


def test_answers_of_another_model_are_set_aside(bench: Any) -> None:
    bench.endpoint("good", right)
    run = bench.make("e", models=["good/m"], data=[bench.data("sums", QUESTIONS[:10])])
    assert bench.go(run).outcome == "completed"
    bench.endpoints.clear()
    server = bench.endpoint("good", worse)
    assert bench.go(run).outcome == "completed"
    assert len(server.asked) == 10 and "answers_set_aside" in bench.warnings()
    assert (run.eval / "answers-01.old-1.jsonl").is_file()


def test_keys_are_written_nowhere(bench: Any) -> None:
    server = bench.endpoint("good", lambda text: (401, {"error": {"message": "no"}}))
    run = bench.make("e", models=["good/m"], data=[bench.data("sums", QUESTIONS[:3])])
    end = bench.go(run)
    assert (end.outcome, end.code) == ("failed", "endpoint_refused")
    for path in (path for path in run.path.rglob("*") if path.is_file()):
        assert server.key.encode() not in path.read_bytes(), path


def test_only_saved_endpoints_are_asked(bench: Any) -> None:
    run = bench.make("e", models=["http://127.0.0.1:1/v1"],
                     data=[bench.data("sums", QUESTIONS[:3])])
    end = bench.go(run)
    assert (end.outcome, end.code) == ("failed", "unknown_model")


def test_rows_that_cannot_be_answered_count_as_empty(bench: Any) -> None:
    def say(text: str) -> Any:
        return (400, {"error": {"message": "too long"}}) if "3 + 3" in text else right(text)

    bench.endpoint("short", say)
    run = bench.make("e", models=["short/m"], data=[bench.data("sums", QUESTIONS[:5])])
    assert bench.go(run).outcome == "completed"
    line = bench.lines(run, "predictions-01.jsonl")[2]
    assert (line["prediction"], line["error"], line["mistake"]) == ("", "too long", "empty")
    assert any("could not answer 1 of 5 rows" in note for note in bench.report(run).notes)


@pytest.mark.parametrize("reply", [
    {"usage": {"completion_tokens": "many", "prompt_tokens": {}}},
    {"usage": {"completion_tokens": 1e400}}, {"usage": [3]}], ids=["word", "endless", "list"])
def test_numbers_of_tokens_that_are_none_lose_no_answer(bench: Any, reply: Any) -> None:
    answer = {"choices": [{"message": {"content": "2"}}], **reply}
    bench.endpoint("odd", lambda text: (200, answer))
    run = bench.make("e", models=["odd/m"], data=[bench.data("sums", QUESTIONS[:1])])
    assert bench.go(run).metrics == {"numeric/odd/m": 1.0}
    assert bench.lines(run, "predictions-01.jsonl")[0]["tokens"] == 0


def test_a_busy_server_is_asked_again(bench: Any) -> None:
    replies = iter([(503, {}), (429, {"error": {"message": "slow down"}}), (200, b"no json"),
                    (200, b"[" * 200_000), (200, b"torn", {"content-encoding": "gzip"})])
    bench.endpoint("busy", lambda text: next(replies, None) or right(text))
    run = bench.make("e", models=["busy/m"], data=[bench.data("sums", QUESTIONS[:3])])
    assert bench.go(run).outcome == "completed"
    assert bench.report(run).results[0].value == 1.0


def test_a_metric_that_raises_loses_no_other(bench: Any, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def score(prompts, predictions, references):\n    raise OSError('broken')\n")
    consent = hashlib.sha256(file.read_bytes()).hexdigest()
    bench.endpoint("good", right)
    run = bench.make("e", models=["good/m"], data=[bench.data("sums", QUESTIONS[:10])],
                     metrics=[{"name": "python", "path": str(file), "sha256": consent}, "numeric"])
    end = bench.go(run)
    assert end.outcome == "completed" and end.metrics == {"numeric/good/m": 0.9}
    assert any("'python' has failed" in note and "broken" in note
               for note in bench.report(run).notes)
    alone = bench.make("alone", models=["good/m"], data=[bench.data("sums", QUESTIONS[:10])],
                       metrics=[{"name": "python", "path": str(file), "sha256": consent}])
    end = bench.go(alone)
    assert (end.outcome, end.code) == ("failed", "nothing_scored") and "broken" in end.message
    assert len(bench.lines(alone, "predictions-01.jsonl")) == 10


def test_a_metric_that_cannot_be_made_is_said_before_anything_is_asked(bench: Any) -> None:
    server = bench.endpoint("good", right)
    run = bench.make("e", models=["good/m"], data=[bench.data("sums", QUESTIONS[:3])],
                     metrics=["code"])
    assert bench.go(run).outcome == "failed" and not server.asked


def test_a_judge_is_part_of_the_report(bench: Any) -> None:
    bench.endpoint("good", right)
    bench.endpoint("worse", worse)

    def verdict(text: str) -> str:
        """Prefer the answer that does not say who knows."""
        first, second = (text.find("It is 7 or so"), text.rfind("It is 7 or so"))
        if first < 0:
            return "They are the same.\nVERDICT: tie"
        middle = text.find("It is ", first + 1) > first
        return f"One guesses.\nVERDICT: {'B' if middle and first == second else 'A'}"

    judge = bench.endpoint("judge", verdict)
    run = bench.make("e", models=["good/m", "worse/m"],
                     data=[bench.data("sums", QUESTIONS[:12])], metrics=["numeric"],
                     judge={"model": "judge/m"})
    assert bench.go(run).outcome == "completed"
    report = bench.report(run)
    (judged,) = report.judged
    assert (judged.model, judged.against, judged.n) == ("worse/m", "good/m", 12)
    assert {one.source for one in report.comparisons} == {"data", "judge"}
    scores = [line["score"] for line in bench.lines(run, "predictions-02.jsonl")]
    assert all("judge" in one for one in scores)
    before = len(judge.asked)
    assert before and bench.go(run).outcome == "completed" and len(judge.asked) == before


def test_a_judge_that_is_gone_leaves_the_scores(bench: Any) -> None:
    bench.endpoint("good", right)
    bench.endpoint("worse", worse)
    bench.endpoint("judge", lambda text: (403, {"error": {"message": "no money"}}))
    run = bench.make("e", models=["good/m", "worse/m"],
                     data=[bench.data("sums", QUESTIONS[:8])], judge={"model": "judge/m"})
    end = bench.go(run)
    assert (end.outcome, end.code) == ("failed", "endpoint_refused") and "no money" in end.message
    assert [one.value for one in bench.report(run).results] == [1.0, 0.75]


def test_likelihoods_of_an_endpoint_are_refused_with_the_reason(bench: Any) -> None:
    server = bench.endpoint("good", right)
    data = [bench.data("sums", QUESTIONS[:3])]
    end = bench.go(bench.make("a", models=["good/m"], data=data, metrics=["likelihood"]))
    assert (end.outcome, end.code) == ("failed", "likelihood_cannot") and not server.asked
    both = bench.make("b", models=["good/m"], data=data, metrics=["likelihood", "numeric"])
    assert bench.go(both).outcome == "completed"
    assert any("no scores by likelihood" in note for note in bench.report(both).notes)


def test_how_answers_are_drawn_is_sent(bench: Any) -> None:
    server = bench.endpoint("good", right)
    run = bench.make("e", models=["good/m"], data=[bench.data("sums", QUESTIONS[:1])],
                     generation={"max_new_tokens": 9, "temperature": 0.5, "top_p": 0.9, "seed": 7,
                                 "system": "Be brief.", "stop": ["\n"], "enable_thinking": False})
    assert bench.go(run).outcome == "completed"
    (path, body), = server.asked
    assert path == "/v1/chat/completions" and body.pop("messages") == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is 1 + 1?"}]
    assert body == {"model": "m", "max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "seed": 7,
                    "stop": ["\n"], "chat_template_kwargs": {"enable_thinking": False}}


def test_a_setting_that_an_endpoint_does_not_take_is_left_out(bench: Any) -> None:
    def say(text: str) -> Any:
        sent = server.asked[-1][1]
        if "max_tokens" in sent:
            return 400, {"error": {"message": "Unsupported parameter: 'max_tokens'."}}
        return right(text)

    server = bench.endpoint("new", say)
    run = bench.make("e", models=["new/m"], data=[bench.data("sums", QUESTIONS[:4])])
    assert bench.go(run).outcome == "completed"
    assert bench.report(run).results[0].value == 1.0
    assert server.asked[-1][1]["max_completion_tokens"] == 256


def test_odd_answers_are_kept_as_they_are(bench: Any) -> None:
    odd = ["\x00nul", "x" * 100_000, "half \ud83d of it", "", "a\nb\u2028c"]
    bench.endpoint("odd", lambda text: odd[int(text)])
    rows = [{"prompt": str(n), "reference": "x"} for n in range(len(odd))]
    run = bench.make("e", models=["odd/m"], data=[bench.data("d", rows)],
                     metrics=["contains", "exact_match"])
    assert bench.go(run).outcome == "completed"
    said = [line["prediction"] for line in bench.lines(run, "predictions-01.jsonl")]
    assert said == odd
    assert bench.go(run).outcome == "completed" and not bench.warnings().get("rows_changed")
    assert bench.lines(run, "predictions-01.jsonl")[3]["mistake"] == "empty"


def test_less_is_asked_at_once_when_memory_runs_out(bench: Any) -> None:
    full = (500, {"error": {"message": "The GPU has too little memory.", "code": "cuda_oom"}})
    refused = iter([full] * 3)
    bench.endpoint("small", lambda text: next(refused, None) or right(text))
    run = bench.make("e", models=["small/m"], data=[bench.data("sums", QUESTIONS[:30])],
                     batch_size=16)
    assert bench.go(run).outcome == "completed"
    report = bench.report(run)
    assert report.results[0].value == 0.9 and 2 <= report.answered[0].at_once <= 8
    assert "ran out of memory" in bench.warnings()["narrower"]


def test_a_row_that_alone_is_too_much_is_told(bench: Any) -> None:
    full = (500, {"error": {"message": "The GPU has too little memory.", "code": "cuda_oom"}})
    bench.endpoint("small", lambda text: full if "3 + 3" in text else right(text))
    run = bench.make("e", models=["small/m"], data=[bench.data("sums", QUESTIONS[:5])])
    assert bench.go(run).outcome == "completed"
    lines = bench.lines(run, "predictions-01.jsonl")
    assert [bool(line.get("error")) for line in lines] == [False, False, True, False, False]


def test_vectors_of_a_model_are_asked_for(bench: Any) -> None:
    def embed(text: str) -> Any:
        return 200, {"data": [{"index": at, "embedding": [float(one == "It is 2."), 1.0]}
                              for at, one in enumerate(json.loads(text))]}

    bench.endpoint("good", right)
    vectors = bench.endpoint("vectors", embed)
    run = bench.make("e", models=["good/m"], data=[bench.data("sums", QUESTIONS[:3])],
                     metrics=[{"name": "embedding", "model": "vectors/m"}])
    assert bench.go(run).outcome == "completed"
    scores = [line["score"]["embedding"] for line in bench.lines(run, "predictions-01.jsonl")]
    assert scores == [pytest.approx(0.5 ** 0.5), pytest.approx(1.0), pytest.approx(1.0)]
    assert {path for path, _ in vectors.asked} == {"/v1/embeddings"}


def test_plain_texts_are_gone_on_with(bench: Any) -> None:
    server = bench.endpoint("good", lambda text: " and so on.")
    rows = [{"text": "It was a bright cold day in April, and the clocks struck thirteen."}]
    run = bench.make("e", models=["good/m"], data=[bench.data("texts", rows)])
    assert bench.go(run).outcome == "completed"
    assert server.asked[0][0] == "/v1/completions"
    (line,) = bench.lines(run, "predictions-01.jsonl")
    assert line["prompt"] == "It was a bright cold day" and line["reference"].startswith(" in")
