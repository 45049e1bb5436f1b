"""A model card tells what evaluations have found, for people and for the hub."""

from __future__ import annotations

import os

from huggingface_hub import ModelCard

from tests.trainer.export.test_card import front, make_run
from trainer.contract.files import write_json
from trainer.contract.kinds.evaluation import Compared, EvaluationReport, Result, report_file
from trainer.contract.rundir import RunDir
from trainer.export.card import make_card
from trainer.export.evaluated import MOST_SCORES, scores_of


def evaluation(run: RunDir, name: str, results: list[Result], *, at: int = 1,
               comparisons: list[Compared] | None = None) -> None:
    """Write an evaluation beside a run."""
    folder = RunDir(run.path.parent / name)
    folder.eval.mkdir(parents=True)
    report = EvaluationReport(models=["/srv/secret/base", run.id], datasets=[], results=results,
                              comparisons=comparisons or [])
    write_json(report_file(folder), report.dump())
    os.utime(report_file(folder), ns=(at * 10**9, at * 10**9))


def score(run: RunDir, value: float | None, metric: str = "numeric",
          dataset: str = "/srv/secret/sums.jsonl", **values) -> Result:
    """Return a score of the run."""
    return Result(model=run.id, dataset=dataset, metric=metric, value=value,
                  **{"low": 0.5, "high": 0.7, "n": 1319, "share": True, **values})


def test_a_card_has_the_newest_scores_with_intervals_and_changes(tmp_path):
    run = make_run(tmp_path)
    compared = Compared(dataset="/srv/secret/sums.jsonl", metric="numeric", a="/srv/secret/base",
                        b=run.id, difference=0.25, p_value=0.0, p_adjusted=0.0, verdict="better",
                        n=1319)
    evaluation(run, "old", [score(run, 0.1), score(run, 12.5, "bleu", "set", share=False)])
    evaluation(run, "new", [score(run, 0.625), score(run, None, "json_valid"),
                            Result(model="/srv/secret/base", dataset="x", metric="y", value=1.0)],
               at=2, comparisons=[compared])
    card = make_card(run, "adapter")
    assert "| sums.jsonl | numeric | 62.5 % | 50.0 % to 70.0 % | 1,319 | base | +25.0 % (better)" \
        in card
    assert "| set | bleu | 12.5 |" in card and "10.0 %" not in card and "srv" not in card
    assert front(card)["model-index"] == [{"name": "support bot", "results": [
        {"task": {"type": "text-generation"}, "dataset": {"type": name, "name": name},
         "metrics": [{"type": metric, "value": value, "name": metric}]}
        for name, metric, value in (("sums.jsonl", "numeric", 0.625), ("set", "bleu", 12.5))]}]


def test_the_hub_reads_the_scores(tmp_path):
    run = make_run(tmp_path)
    evaluation(run, "one", [score(run, 0.5, "exact_match,strict-match", "gsm8k"),
                            score(run, 0.6, "exact_match,flexible-extract", "gsm8k"),
                            score(run, 0.7, "acc", "my data (中文, test)")])
    found = ModelCard(make_card(run, "merged")).data.eval_results
    assert [(one.dataset_name, one.metric_name, one.metric_value) for one in found] == [
        ("gsm8k", "exact_match,strict-match", 0.5), ("gsm8k", "exact_match,flexible-extract", 0.6),
        ("my data (中文, test)", "acc", 0.7)]
    assert [one.dataset_type for one in found] == ["gsm8k", "gsm8k", "my-data-test"]


def test_without_evaluations_a_card_says_nothing_of_them(tmp_path):
    run = make_run(tmp_path)
    evaluation(run, "other", [])
    (tmp_path / "broken" / "eval").mkdir(parents=True)
    (tmp_path / "broken" / "eval" / "report.json").write_text("{")
    card = make_card(run, "adapter")
    assert "Evaluation" not in card and "model-index" not in front(card)


def test_a_card_is_not_longer_than_people_read(tmp_path):
    run = make_run(tmp_path)
    evaluation(run, "many", [score(run, 0.5, dataset=f"mmlu_{at}") for at in range(60)])
    assert len(scores_of(run)) == MOST_SCORES


def test_texts_in_a_report_stay_texts(tmp_path):
    run = make_run(tmp_path)
    evaluation(run, "evil", [score(run, 0.5, "<script>", "[x](javascript:alert(1)) | y")])
    card = make_card(run, "adapter")
    body = card.split("---\n", 2)[2]
    assert "<script>" not in body and "[x](" not in body
    assert front(card)["model-index"]
