"""Every word exists in both languages, and every problem can be said in Chinese."""

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
    said,
    t,
    zh_fields,
    zh_problems,
)
from app.runs import RunState
from trainer.contract.config import all_fields, parse
from trainer.contract.events import Stage
from trainer.contract.problems import _WORDS, ConfigError, Problem

ROOT = Path(__file__).resolve().parents[3]
BOARD = ROOT / "app" / "board"
# Codes that no page can meet: the command line, the chat child's protocol, our own asserts.
ELSEWHERE = {"override_syntax", "unknown_op", "not_loaded", "unknown_side", "ambiguous_run",
             "not_confirmed", "whole_id", "model_not_here", "fix_option", "export_format",
             "export_itself", "export_too_large", "file_exists"}


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
            if text == TABLES["en"][key] and re.search(r"[a-z]{4,}", text)}
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
    pattern = (r'(?:code=|(?:DatasetError|ModelError|RunError|Failure|Verdict)\(\s*|'
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
