"""docs/methods.md and docs/optimizing.md say what the config has: no more, no less."""

import re
from typing import get_args

import pytest
import yaml

from tests.source_tree import ROOT
from trainer.contract.config import OBJECTIVES, RunConfig, all_fields
from trainer.contract.config.checks import check
from trainer.contract.config.evaluation import SCORES
from trainer.contract.config.fields import is_relevant
from trainer.contract.config.optimizers import OPTIMIZERS
from trainer.contract.config.preference import DPO_LOSSES
from trainer.contract.config.rewards import RewardName
from trainer.contract.config.rollout import GRPO_LOSSES
from trainer.contract.config.schedule import SCHEDULES
from trainer.contract.config.tuner import LORA_INITS, PROMPTED, TUNERS

PAGE = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
ROWS = {"turns": "conversations", "text": "plain text", "pairs": "pairs",
        "judged": "judged answers", "prompts": "prompts", "labelled": "texts with a class"}
SHARED = {"type", "target_modules", "modules_to_save", "layers_to_transform", "continue_from"}


def table(head, page=PAGE):
    """Return the cells of the table that begins with a heading row, without their backticks."""
    body = page.partition(f"\n| {head} |")[2].partition("\n\n")[0]
    assert body, head
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for line in body.splitlines()[2:]]


def named(cell):
    return re.findall(r"`([^`]+)`", cell)


def test_objectives_are_those_of_the_config():
    rows = table("`objective`")
    assert sorted(row[0] for row in rows) == sorted(OBJECTIVES)
    for name, _, reads, beside in rows:
        facts = OBJECTIVES[name]
        assert reads == ROWS[facts.rows]
        wanted = {"a reference": facts.reference, "a teacher": facts.teacher,
                  "sampled answers": facts.generates, "a head of scores": facts.head}
        assert set(filter(None, beside.split(", "))) == {
            words for words, is_so in wanted.items() if is_so}


def test_losses_of_dpo_go_with_what_the_table_says():
    rows = table("loss | what it is")
    assert sorted(named(row[0])[0] for row in rows) == sorted(get_args(DPO_LOSSES))
    for name, _, *goes in rows:
        loss = named(name)[0]
        smoothing = {"label_smoothing": 0.1} if loss == "exo_pair" else {}
        tried = ({"label_smoothing": 0.1}, {"f_divergence_type": "js_divergence"},
                 {"use_weighting": True}, {"reference_free": True})
        found = [not check(RunConfig(objective="dpo", dpo={
            "loss_type": loss, **smoothing, **over})) for over in tried]
        assert ["yes" if works else "no" for works in found] == goes, loss


@pytest.mark.parametrize(("head", "values"), [
    ("loss | token losses are put together", get_args(GRPO_LOSSES)),
    ("reward | score", get_args(RewardName)), ("loss | a token's loss, with p its probability",
                                               ("nll", "dft", "eaft", "asft"))])
def test_losses_and_rewards_are_those_of_the_config(head, values):
    assert sorted(named(row[0])[0] for row in table(head)) == sorted(values)


def test_every_choice_of_a_method_is_named():
    paths = ("sft.loss_type", "cpo.loss_type", "classification.loss_type",
             "dpo.f_divergence_type", "model.quantization", "model.attn_implementation",
             "training.packing", "grpo.importance_sampling_level")
    fields = all_fields()
    missing = [(path, value) for path in paths for value in fields[path].choices
               if not re.search(rf"`[^`\n]*\b{value}\b[^`\n]*`", PAGE)]
    assert not missing and all(fields[path].choices for path in paths)
    assert not [name for name in get_args(LORA_INITS) if f"`{name}`" not in PAGE]


def test_tuners_are_those_of_the_config_with_their_own_fields():
    rows = table("method")
    assert sorted(named(row[0])[0] for row in rows) == sorted(get_args(TUNERS))
    for name, own, four, eight, merges, source in rows:
        tuner = named(name)[0]
        fields = {path.rpartition(".")[2] for path, info in all_fields().items()
                  if path.startswith("tuner.") and is_relevant(info, {"tuner.type": tuner})}
        if tuner == "lora":
            assert not [field for field in fields - SHARED if f"`{field}`" not in PAGE]
        else:
            assert set(named(own)) == fields - SHARED, tuner
        for kinds, said in ((("nf4", "fp4"), four), (("int8",), eight)):
            codes = {problem.code for kind in kinds for problem in check(RunConfig(
                tuner={"type": tuner}, model={"quantization": kind}))}
            refused = codes & {"tuner_on_quantized", "full_on_quantized"}
            assert said == ("no" if refused else "yes"), tuner
        adapter = tuner not in ("full", "freeze")
        assert merges == ("" if not adapter else "no" if tuner in PROMPTED else "yes")
        assert bool(source) == adapter


def test_the_lines_of_rewards_are_configs():
    for name, _, line in table("reward | score"):
        use = yaml.safe_load(named(line)[0])
        assert use["name"] == named(name)[0]
        config = RunConfig(objective="grpo", rollout={"rewards": [use]})
        assert check(config) == [], name


def test_switches_are_fields():
    part = PAGE.partition("## Memory and speed")[2]
    names = [named(row[0])[0] for row in table("field | what it does | limits", part)]
    group = [path for path, info in all_fields().items() if info.group == "memory"]
    assert set(names) <= set(all_fields())
    assert not [path for path in group if path.rpartition(".")[2] not in part]


def test_scores_of_answers_are_those_of_the_config():
    page = (ROOT / "docs" / "optimizing.md").read_text(encoding="utf-8")
    rows = table("`evaluation.metrics` | curves", page)
    assert {named(row[0])[0]: tuple(named(row[1])) for row in rows} == {
        metric: tuple(f"eval_{score}" for score in scores) for metric, scores in SCORES.items()}
    part = page.partition("## Scores of answers while training")[2].partition("\n## ")[0]
    config = yaml.safe_load(part.partition("```yaml\n")[2].partition("```")[0])
    assert check(RunConfig.model_validate(config)) == []


def test_optimizers_and_schedules_are_those_of_the_config():
    page = (ROOT / "docs" / "optimizing.md").read_text(encoding="utf-8")
    rows = table("`training.optim`", page)
    names = [name for row in rows for name in named(row[0])]
    whole = {f"schedule_free{name}" if name.startswith("_") else name for name in names}
    assert whole == set(get_args(OPTIMIZERS))
    schedules = page.partition("## Schedules")[2].partition("\n## ")[0]
    missing = [name for name in get_args(SCHEDULES) if f"`{name}`" not in schedules]
    assert not missing
