"""The sample datasets and the starter's folder: shape, split, and that they can be made again."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import pytest
from jinja2.ext import Extension
from tokenizers import Tokenizer

from assets.make.datasets import split_facts, write_datasets
from assets.make.phrases import QUESTIONS, STATEMENTS, answer, fill
from assets.make.tasks import TOPICS
from assets.make.world import RELATIONS, build_world, pool

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "data"
STARTER = ROOT / "assets" / "starter"
REGISTRY = json.loads((DATA / "dataset_info.json").read_text(encoding="utf-8"))


def rows_of(name: str) -> list[dict[str, Any]]:
    path = DATA / REGISTRY[name]["file_name"]
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


QUESTION_INDEX = {
    fill(template, person, relation): (person.name, relation)
    for person in build_world()
    for relation in RELATIONS
    for template in QUESTIONS[person.language][relation]
}


def asked_in(name: str) -> set[tuple[str, str]]:
    texts = {text for row in rows_of(name) for text in strings_in(row)}
    return {QUESTION_INDEX[text] for text in texts & QUESTION_INDEX.keys()}


def strings_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from strings_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings_in(inner)


def is_chinese(text: str) -> bool:
    return re.search(r"[\u4e00-\u9fff]", text) is not None


def test_every_entry_names_a_file_whose_rows_have_its_columns() -> None:
    assert set(REGISTRY) == {path.stem for path in DATA.glob("*.jsonl")}
    for name, entry in REGISTRY.items():
        columns = entry.get("columns") or {"prompt": "instruction", "response": "output"}
        for row in rows_of(name):
            assert set(columns.values()) <= set(row), name


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("sample_instructions", 500),
        ("sample_instructions_heldout", 240),
        ("sample_chat", 120),
        ("sample_preferences", 240),
        ("sample_kto", 240),
        ("sample_text", 300),
        ("sample_tools", 120),
        ("sample_questions", 400),
        ("sample_classes", 600),
    ],
)
def test_each_set_has_its_size_and_a_third_is_chinese(name: str, count: int) -> None:
    rows = rows_of(name)
    assert len(rows) == count
    chinese = sum(any(is_chinese(text) for text in strings_in(row)) for row in rows)
    assert 0.28 < chinese / count < 0.40


def test_making_the_data_again_gives_the_same_bytes(tmp_path: Path) -> None:
    write_datasets(tmp_path)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    kept = {path.name: path.read_bytes() for path in DATA.iterdir() if path.suffix != ".md"}
    assert made == kept
    assert sum(len(content) for content in kept.values()) < 1_000_000


def test_no_held_out_fact_is_asked_anywhere_else() -> None:
    held_out = asked_in("sample_instructions_heldout")
    asked = set().union(*(asked_in(name) for name in REGISTRY if not name.endswith("heldout")))
    assert (len(held_out), len(asked)) == (240, 500)
    assert not asked & held_out


def test_sums_are_right_and_asked_once() -> None:
    rows = rows_of("sample_questions")
    assert len({row["prompt"] for row in rows}) == len(rows)
    for row in rows:
        left, right = map(int, re.findall(r"\d+", row["prompt"]))
        assert row["reference"] == str(left + right)


def test_each_class_is_as_frequent_as_the_others_and_told_by_one_sentence() -> None:
    rows = rows_of("sample_classes")
    assert set(Counter(row["label"] for row in rows).values()) == {120}
    assert REGISTRY["sample_classes"]["_classes"] == sorted({row["label"] for row in rows})
    said: dict[str, set[str]] = {}
    for person in build_world():
        for relation, templates in STATEMENTS[person.language].items():
            for template in templates:
                said.setdefault(fill(template, person, relation), set()).add(TOPICS[relation])
    for row in rows:
        found = {label for text, labels in said.items() if text in row["text"] for label in labels}
        assert found == {row["label"]}, row


def test_a_person_has_one_value_per_relation_and_answers_match_questions() -> None:
    people = build_world()
    assert len({p.name for p in people}) == len({p.short for p in people}) == len(people)
    expected = {(p.name, r): answer(p, r) for p in people for r in RELATIONS}
    for name in ("sample_instructions", "sample_instructions_heldout"):
        for row in rows_of(name):
            assert row["input"] == ""
            assert row["output"] == expected[QUESTION_INDEX[row["instruction"]]]


def test_guessing_the_commonest_answer_does_not_pay() -> None:
    for language in ("en", "zh"):
        for relation in RELATIONS:
            values = [p.facts[relation] for p in build_world() if p.language == language]
            assert len(set(pool(language, relation))) >= 25
            assert Counter(values).most_common(1)[0][1] / len(values) < 0.06
            assert len(STATEMENTS[language][relation]) >= 8


def test_train_and_held_out_facts_cover_the_world_without_overlap() -> None:
    train, held_out = split_facts()
    both = Counter((person.name, relation) for person, relation in train + held_out)
    assert len(both) == len(build_world()) * len(RELATIONS)
    assert set(both.values()) == {1}


def test_starter_folder_is_small_and_complete() -> None:
    names = {path.name for path in STARTER.iterdir()}
    assert names >= {"config.json", "generation_config.json", "model.safetensors", "README.md"}
    assert names >= {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}
    assert sum(path.stat().st_size for path in STARTER.iterdir()) <= 12_000_000
    config = json.loads((STARTER / "config.json").read_text())
    assert (config["model_type"], config["vocab_size"], config["dtype"]) == (
        "qwen3",
        4096,
        "bfloat16",
    )


def test_tokenizer_keeps_turn_tokens_whole_and_text_unchanged() -> None:
    tokenizer = Tokenizer.from_file(str(STARTER / "tokenizer.json"))
    assert tokenizer.get_vocab_size() == 4096
    config = json.loads((STARTER / "config.json").read_text())
    assert tokenizer.token_to_id("<|im_end|>") == config["eos_token_id"]
    assert tokenizer.token_to_id("<|endoftext|>") == config["pad_token_id"]
    for mark in ("<|im_start|>", "<think>", "</think>", "<tool_call>", "</tool_response>"):
        assert len(tokenizer.encode(mark).ids) == 1
    for text in ("It's 12:30 -- ok?\n\n\tdef f(x):\n", "你好，世界。龘 🙂"):
        assert tokenizer.decode(tokenizer.encode(text).ids) == text


class Generation(Extension):
    """Renders what the assistant says between two marks that a test can find."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Any) -> Any:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_mark"), [], [], body).set_lineno(line)

    def _mark(self, caller: Any) -> str:
        return f"⟦{caller()}⟧"


def render(messages: list[dict[str, Any]], **values: Any) -> str:
    environment = jinja2.Environment(
        extensions=[Generation, "jinja2.ext.loopcontrols"], trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    template = environment.from_string((STARTER / "chat_template.jinja").read_text())
    return template.render(messages=messages, **values)


def test_template_marks_what_the_assistant_says_with_its_end_of_turn() -> None:
    messages = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "U"},
        {"role": "assistant", "content": "A"},
        {"role": "user", "content": "V"},
    ]
    assert render(messages, add_generation_prompt=True) == (
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n"
        "<|im_start|>assistant\n⟦A<|im_end|>⟧\n<|im_start|>user\nV<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert render(messages[1:2]) == "<|im_start|>user\nU<|im_end|>\n"


def test_template_writes_tools_calls_and_results() -> None:
    call = {"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}
    messages = [
        {"role": "user", "content": "U"},
        {"role": "assistant", "content": "", "tool_calls": [call, call]},
        {"role": "tool", "content": "1"},
        {"role": "tool", "content": "2"},
        {"role": "assistant", "content": "A"},
    ]
    text = render(messages, tools=[{"name": "add"}])
    written = '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'
    assert text.startswith("<|im_start|>system\n# Tools\n")
    assert '<tools>\n{"name": "add"}\n</tools>' in text
    assert f"⟦{written}\n{written}<|im_end|>⟧" in text
    assert (
        "<|im_start|>user\n<tool_response>\n1\n</tool_response>\n"
        "<tool_response>\n2\n</tool_response><|im_end|>\n<|im_start|>assistant\n⟦A<|im_end|>⟧\n"
    ) in text
