"""Every word exists in both languages, and every problem can be said in Chinese."""

import json
import re
import string
from pathlib import Path

import pytest

from app.board.i18n import (
    LOCALES,
    TABLES,
    choice_label,
    field_help,
    field_title,
    problem_text,
    row_text,
    said,
    shape_text,
    t,
    zh_fields,
    zh_problems,
)
from app.runs import RunState
from trainer.contract.config import all_fields, parse
from trainer.contract.events import Stage
from trainer.contract.problems import _WORDS, ConfigError, Problem
from trainer.data.checking.check import check
from trainer.data.reading.sources import locate

ROOT = Path(__file__).resolve().parents[3]
BOARD = ROOT / "app" / "board"
# Codes that no page can meet: the command line, the data worker's protocol, our own asserts.
ELSEWHERE = {"override_syntax", "unknown_op", "ambiguous_run", "not_confirmed", "whole_id",
             "model_not_here", "fix_option", "export_format", "export_itself", "export_too_large",
             "file_exists"}


def marks(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_both_tables_have_the_same_keys():
    assert set(TABLES["en"]) == set(TABLES["zh"])
    assert not [key for locale in LOCALES for key, text in TABLES[locale].items() if not text]


@pytest.mark.parametrize("key", sorted(TABLES["en"]))
def test_both_languages_fill_in_the_same_values(key):
    assert marks(TABLES["en"][key]) == marks(TABLES["zh"][key])


def test_chinese_is_chinese():
    same = {key for key, text in TABLES["zh"].items()
            if text == TABLES["en"][key] and re.search(r"[a-z]{4,}", text)
            and not key.startswith("choice.tuner.type.")}
    assert same <= {"choice.tracking.backend.swanlab", "train.yaml_placeholder", "part.logits",
                    "stage.counted"}


def test_every_state_and_stage_has_a_word():
    for state in RunState:
        assert t("zh", f"state.{state}") != t("en", f"state.{state}")
    for stage in Stage.__args__:
        assert t("zh", f"stage.{stage}") != t("en", f"stage.{stage}")


def used_keys():
    """Every literal key in the board's calls of t(locale, "...")."""
    text = "\n".join(p.read_text(encoding="utf-8") for p in BOARD.rglob("*.py"))
    return set(re.findall(r"""(?:\bt\(\s*(?:self\.)?locale,|_word\()\s*"([\w.]+)\"""", text))


def test_every_key_that_the_pages_use_exists():
    keys = used_keys()
    assert len(keys) > 100
    assert keys <= set(TABLES["en"])


def test_no_key_is_left_over():
    source = "\n".join(p.read_text(encoding="utf-8") for p in BOARD.rglob("*.py")
                       if p.parent.name != "i18n" or p.name == "__init__.py")
    prefixes = set(re.findall(r"""f["']([\w.]+)\{""", source)) | {"chart.", "preset."}
    left = [key for key in TABLES["en"] if not re.search(rf"""["']{re.escape(key)}["']""", source)
            and not any(key.startswith(prefix) for prefix in prefixes)]
    assert left == []


def test_every_field_has_a_chinese_title_and_description():
    assert set(zh_fields.FIELDS) == set(all_fields())
    for path, info in all_fields().items():
        assert field_title("en", info).startswith(info.title)
        assert field_title("zh", info) and field_help("zh", info)
        assert field_help("en", info) == info.description
        assert re.search(r"[\u4e00-\u9fff]", "".join(zh_fields.FIELDS[path]))


def test_a_choice_without_another_word_is_itself():
    assert choice_label("zh", "training.optim", "adamw_torch") == "adamw_torch"
    assert choice_label("zh", "objective", "sft") == "监督微调"


def codes_in_source():
    """Every code that the engine and the studio give to a problem or an error."""
    errors = "DatasetError|ModelError|RunError|ExportError|CombineError|Failure|Verdict"
    pattern = (rf'(?:code=|(?:{errors})\(\s*|'
               r'_problem\(\s*[^"\s][^,]*,\s*|_problem\(\s*"[\w.]*",\s*|PydanticCustomError\(\s*)'
               r'"([a-z_]+)"')
    files = [p for folder in ("app", "trainer") for p in (ROOT / folder).rglob("*.py")
             if "_share" not in p.parts]
    found = {code for path in files
             for code in re.findall(pattern, path.read_text(encoding="utf-8"))}
    return found | set(_WORDS)


def test_every_code_has_a_chinese_message():
    codes = codes_in_source()
    assert {"path_outside_roots", "bad_rows", "weights_none", "greater_than"} <= codes
    missing = sorted(codes - set(zh_problems.MESSAGES) - ELSEWHERE)
    assert missing == []


def test_every_warning_of_the_trainer_has_a_title():
    files = [p for p in (ROOT / "trainer").rglob("*.py") if "_share" not in p.parts]
    codes = {code for path in files for code in re.findall(
        r'emit\.warn\(\s*"([a-z_]+)"', path.read_text(encoding="utf-8"))}
    assert {"nan_loss", "zero_loss", "leakage", "gradient_spike"} <= codes
    assert [code for code in sorted(codes) if f"warning.{code}" not in TABLES["en"]] == []


def test_every_automatic_choice_of_the_trainer_has_a_title():
    files = [p for p in (ROOT / "trainer").rglob("*.py") if "_share" not in p.parts]
    chosen = {field for path in files for field in re.findall(
        r'emit\.choose\(\s*"([\w.]+)"', path.read_text(encoding="utf-8"))}
    assert {"tokens", "result", "lm_head", "reference", "weights", "training.optim"} <= chosen
    assert [one for one in sorted(chosen) if one not in all_fields()
            and f"chosen.{one}" not in TABLES["en"]] == []


@pytest.mark.parametrize("path", ["training.optim", "training.lr_scheduler_type",
                                  "sft.loss_type", "dpo.loss_type", "grpo.loss_type"])
def test_every_option_with_a_technical_name_says_what_it_is(path):
    for value in all_fields()[path].choices:
        assert f"about.{path}.{value}" in TABLES["en"], value


def test_what_was_chosen_is_said_in_words():
    from app.board.pages._run_html import choice_value

    assert choice_value("en", "training.group_by_length", False) == "off"
    assert choice_value("zh", "reference", "a frozen copy") == "一份冻结的副本"
    assert choice_value("zh", "training.early_stopping_patience", "stopped at step 40") == (
        "在第 40 步停止")
    assert choice_value("en", "model.dtype", "bfloat16") == "bfloat16"
    assert choice_value("en", "training.packing", "bfd") == "Best fit"


def test_advice_belongs_to_a_message():
    assert set(zh_problems.ADVICE) <= set(zh_problems.MESSAGES)


BAD = {"name": "a/b", "objective": "magic", "model": {"quantization": 3, "revision": "a\nb"},
       "data": {"train": [], "max_length": 1, "shuffle": "perhaps"},
       "tuner": {"r": 0, "typ": "lora", "zzz": 1},
       "training": {"learning_rate": "abc", "seed": 1.5, "adam_beta1": 1, "max_steps": "x"}}


def test_config_problems_are_whole_sentences_in_both_languages():
    with pytest.raises(ConfigError) as raised:
        parse(BAD)
    problems = raised.value.problems
    assert len(problems) >= 11
    for problem in problems:
        assert problem_text("en", problem) == (problem.message, problem.advice)
        message, advice = problem_text("zh", problem)
        assert message != problem.message and "{" not in message + advice


def test_a_translation_without_its_values_falls_back_to_english():
    assert said("zh", "greater_than", "Too small.", "More.") == ("Too small.", "More.")
    assert problem_text("zh", Problem(field="", code="new", message="M", advice="A")) == ("M", "A")


def test_details_of_data_problems_are_kept():
    message, _ = said("zh", "bad_rows", "Row 214 of a.jsonl has no 'answer'.", "Fix it.",
                      params={"name": "a.jsonl"})
    assert "a.jsonl" in message and "Row 214" in message


def test_braces_in_values_stay_as_they_are():
    message, _ = said("zh", "unknown_dataset", "", "", params={"name": "{english} {0}"})
    assert "{english} {0}" in message


def test_an_unknown_key_is_an_error():
    with pytest.raises(KeyError):
        t("en", "no.such.key")


def test_rows_and_shapes_of_real_files_are_said_in_chinese(tmp_path):
    rows = [{"question": f"q{n}", "answer": f"a{n}"} for n in range(40)]
    rows[1], rows[2], rows[3] = {"question": "q"}, {"question": "", "answer": "x"}, rows[0]
    rows[4], rows[5] = {"question": ["x"], "answer": "y"}, {"question": "a </s> b", "answer": "y"}
    rows[6], rows[7] = {"question": "a\x00", "answer": "y"}, {"question": None, "answer": "y"}
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\ntorn", encoding="utf-8")
    report = check(locate(path, name="x"))
    assert len({problem.code for problem in report.problems}) >= 6
    for problem in report.problems:
        words = row_text("zh", problem.message)
        assert f"第 {problem.row} 行：" in words and words.endswith("。"), problem.message
        assert row_text("en", problem.message) == problem.message
    assert shape_text("zh", report.shape.reason).startswith("查看的 40 行中有 95% ")


@pytest.mark.parametrize(("english", "chinese"), [
    ("columns 'a' and 'b' in all 9 rows looked at (with 'c' below the former)",
     "查看的 9 行都有列“a”和“b”（“c”接在前者之后）。"),
    ("column 'm' in all 9 rows looked at holds turns with 'from' and 'value'",
     "查看的 9 行中，列“m”都是带“from”和“value”的对话轮次。"),
    ("something new in the data layer", "something new in the data layer")])
def test_what_rows_were_taken_for(english, chinese):
    assert shape_text("zh", english) == chinese


def test_what_a_row_says_itself_is_kept_as_it_is():
    odd = "Row 7 of x has {first} in 'q', not text."
    assert row_text("zh", odd) == "x 第 7 行：“q”里是 {first}，不是文字。"
    assert row_text("zh", "Row 7 of x is beyond words.") == "Row 7 of x is beyond words."
