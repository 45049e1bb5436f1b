"""The tables of a tokenizer are those of tokenizer.json; what llama.cpp cannot do is refused."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise

import gguf
import pytest

from tests.trainer.export.conftest import (
    SENTENCE_PIECES,
    bytes_tokenizer,
    change,
    pieces_tokenizer,
    write,
)
from trainer.contract.places import starter
from trainer.data.templates.chat import ChatTemplate
from trainer.data.templates.marks import parse
from trainer.data.templates.sandbox import compile_template
from trainer.export import gguf_pieces, gguf_pretokenizers
from trainer.export.errors import ExportError
from trainer.export.gguf_export import export_gguf
from trainer.export.gguf_template import without_marks
from trainer.export.gguf_tokenizer import TokenType, read_tokenizer


@pytest.fixture
def model(tmp_path):
    return shutil.copytree(starter(), tmp_path / "model")


def fields(path) -> dict[str, object]:
    return {name: field.contents() for name, field in gguf.GGUFReader(path).fields.items()}


def test_a_byte_level_tokenizer_is_in_the_file_as_it_was(tmp_path):
    source = json.loads((starter() / "tokenizer.json").read_text(encoding="utf-8"))
    got = fields(export_gguf(starter(), tmp_path / "m.gguf", "q4_0").path)
    by_id = {number: text for text, number in source["model"]["vocab"].items()}
    by_id |= {token["id"]: token["content"] for token in source["added_tokens"]}
    assert got["tokenizer.ggml.tokens"] == [by_id[number] for number in range(4096)]
    assert got["tokenizer.ggml.merges"] == [" ".join(m) for m in source["model"]["merges"]]
    types = got["tokenizer.ggml.token_type"]
    assert types[4087:4090] == [3, 3, 3] and types[4090:] == [4] * 6 and set(types[:4087]) == {1}
    assert (got["tokenizer.ggml.model"], got["tokenizer.ggml.pre"]) == ("gpt2", "qwen2")
    assert got["tokenizer.ggml.eos_token_id"] == 4089
    assert got["tokenizer.ggml.eot_token_id"] == got["tokenizer.ggml.padding_token_id"] == 4087
    assert not got["tokenizer.ggml.add_bos_token"] and not got["tokenizer.ggml.add_eos_token"]
    assert "tokenizer.ggml.bos_token_id" not in got


def test_pieces_come_with_types_and_scores(models, tmp_path):
    got = fields(export_gguf(models.make("gemma"), tmp_path / "m.gguf").path)
    tokens, types = got["tokenizer.ggml.tokens"], got["tokenizer.ggml.token_type"]
    scores = dict(zip(tokens, got["tokenizer.ggml.scores"], strict=True))
    assert tokens[:4] == ["<unk>", "<s>", "</s>", "<0x00>"]
    assert types[:4] == [TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL, TokenType.BYTE]
    # An added token is found in the text as it is typed, so its space is a space.
    last = 259 + len(SENTENCE_PIECES)
    assert tokens[last] == "  " and types[last] == TokenType.USER_DEFINED
    assert tokens[last + 1] == f"[PAD{last + 1}]" and types[last + 1] == TokenType.UNUSED
    made = [piece for piece in SENTENCE_PIECES if len(piece) > 1]
    assert sorted(made, key=lambda piece: -scores[piece]) == made
    assert got["tokenizer.ggml.model"] == "llama" and "tokenizer.ggml.merges" not in got
    assert got["tokenizer.ggml.add_bos_token"] and got["tokenizer.ggml.bos_token_id"] == 1


def test_a_run_of_spaces_that_merges_make_is_a_piece(tmp_path):
    """Gemma's are added tokens that are looked for as typed, so merges alone make them."""
    data = pieces_tokenizer(scheme="gemma")
    added = data["added_tokens"][-1]
    data["model"]["vocab"]["▁▁"] = added["id"]
    data["model"]["merges"].insert(0, ["▁", "▁"])
    for normalized, text, kind in ((False, "▁▁", TokenType.NORMAL),
                                   (True, "  ", TokenType.USER_DEFINED)):
        added["normalized"] = normalized
        write(tmp_path / "tokenizer.json", data)
        found = read_tokenizer(tmp_path, 300)
        assert (found.tokens[added["id"]], found.types[added["id"]]) == (text, kind)


def joined(text: str, scores: dict[str, float]) -> list[str]:
    """Cut a text as llama.cpp's 'llama' tokenizer does: best score first, then the leftmost."""
    parts = list(text)
    while True:
        pairs = [(scores[a + b], -at) for at, (a, b) in
                 enumerate(pairwise(parts)) if a + b in scores]
        if not pairs:
            return parts
        at = -max(pairs)[1]
        parts[at:at + 2] = [parts[at] + parts[at + 1]]


def test_scores_cut_text_as_the_merges_do():
    from tokenizers import Tokenizer

    data = pieces_tokenizer(scheme="never")
    encoder = Tokenizer.from_str(json.dumps(data))
    merges = [tuple(merge) for merge in data["model"]["merges"]]
    scores = gguf_pieces.scores(data["model"]["vocab"], merges, set())
    for text in ("abc", "aabc", "aaabcab", "abcabc abc", "bcbc ab aa", "aaaa aaabca"):
        spaced = text.replace(" ", "▁")
        assert joined(spaced, scores) == encoder.encode(text, add_special_tokens=False).tokens


def test_merges_that_stand_mixed_have_one_score():
    vocabulary = {text: number for number, text in enumerate("abcd")} | {"ab": 4, "cd": 5}
    mixed = [("a", "b"), ("c", "d"), ("a", "b")]
    scores = gguf_pieces.scores(vocabulary, mixed, set())
    assert scores["ab"] == scores["cd"] > scores["a"]


def test_a_tokenizer_trained_with_one_way_to_build_a_piece_is_refused():
    vocabulary = dict.fromkeys(["a", "b", "c", "ab", "bc", "abc"], 0)
    with pytest.raises(ExportError) as caught:
        gguf_pieces.scores(vocabulary, [("a", "b"), ("b", "c"), ("ab", "c")], set())
    assert caught.value.code == "pieces_unknown"


@pytest.mark.parametrize(("scheme", "before", "note"), [
    ("", True, ""), ("always", True, "unless it begins with one"),
    ("first", False, "right for chats"),
    ("never", False, ""), ("gemma", False, "")])
def test_whether_a_space_goes_before_a_text(scheme, before, note):
    got, said = gguf_pieces.prefix(pieces_tokenizer(scheme=scheme))
    assert got == before and (note in said if note else not said)


@pytest.mark.parametrize("part", [
    {"normalizer": {"type": "Lowercase"}}, {"pre_tokenizer": {"type": "Metaspace", "split": True}},
    {"normalizer": None}, {"pre_tokenizer": {"type": "Whitespace"}}])
def test_pieces_that_are_cut_otherwise_are_refused(part):
    with pytest.raises(ExportError) as caught:
        gguf_pieces.prefix(pieces_tokenizer() | part)
    assert caught.value.code == "normalizer_unknown"


def split(pattern: str) -> dict[str, object]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated",
            "invert": False}


BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
WORDS = {**BYTES, "use_regex": True}
DIGITS = {"type": "Digits", "individual_digits": True}
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+"
          r"[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
          r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|"
          r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")


@pytest.mark.parametrize(("name", "steps", "whole"), [
    ("llama-bpe", [split(LLAMA3), BYTES], True), ("dbrx", [split(LLAMA3), BYTES], False),
    ("qwen2", [split(LLAMA3.replace("{1,3}", "")), BYTES], False),
    ("tekken", [split(TEKKEN), BYTES], True), ("smollm", [DIGITS, WORDS], False),
    ("gpt-2", [WORDS], False)])
def test_the_name_of_a_pre_tokenizer(name, steps, whole):
    data = {"pre_tokenizer": {"type": "Sequence", "pretokenizers": steps},
            "model": {"ignore_merges": whole}}
    assert gguf_pretokenizers.find_name(data) == name


@pytest.mark.parametrize("steps", [
    [split(r"\w+|\s+"), BYTES], [{**WORDS, "add_prefix_space": True}],
    [{**split(LLAMA3), "behavior": "Removed"}, BYTES], [],
    [split(LLAMA3.replace("{1,3}", "")), DIGITS, BYTES]])
def test_an_unknown_pre_tokenizer_is_refused_and_shown(steps):
    data = {"pre_tokenizer": {"type": "Sequence", "pretokenizers": steps}, "model": {}}
    with pytest.raises(ExportError, match="Sequence") as caught:
        gguf_pretokenizers.find_name(data)
    assert caught.value.code == "pretokenizer_unknown"


@pytest.mark.parametrize(("part", "code"), [
    ({"normalizer": {"type": "Lowercase"}}, "normalizer_unknown"),
    ({"model": {"type": "Unigram"}}, "tokenizer_unknown"),
    ({"pre_tokenizer": None}, "pretokenizer_unknown")])
def test_a_tokenizer_that_llama_cpp_has_not_is_refused(model, part, code):
    write(model / "tokenizer.json", bytes_tokenizer() | part)
    with pytest.raises(ExportError) as caught:
        read_tokenizer(model, 4096)
    assert caught.value.code == code


def test_more_tokens_than_rows_are_refused(model):
    with pytest.raises(ExportError) as caught:
        read_tokenizer(model, 4095)
    assert caught.value.code == "tokenizer_large"


def test_two_tokens_of_one_text_are_refused(tmp_path):
    data = pieces_tokenizer()
    data["added_tokens"].append({**data["added_tokens"][-1], "id": 300, "content": "<extra>  "})
    data["added_tokens"].append({**data["added_tokens"][-1], "id": 301, "content": "<extra>▁▁"})
    write(tmp_path / "tokenizer.json", data)
    with pytest.raises(ExportError) as caught:
        read_tokenizer(tmp_path, 400)
    assert caught.value.code == "tokenizer_twice"


def test_a_template_without_the_first_token_is_served_without_it(models):
    folder = models.make("llama")
    assert read_tokenizer(folder, 400).flags["add_bos_token"]
    template = folder / "chat_template.jinja"
    template.write_text("{{ bos_token }}{{ messages[0].content }}")
    assert read_tokenizer(folder, 400).flags["add_bos_token"]
    template.write_text("{{ messages[0].content }}")
    found = read_tokenizer(folder, 400)
    assert not found.flags["add_bos_token"] and "not to" in found.notes[0]


def test_the_first_end_is_the_tokenizers_the_second_the_models(model):
    change(model / "generation_config.json", eos_token_id=[4087, 4089, 4088])
    assert read_tokenizer(model, 4096).ids == {"eos": 4089, "eot": 4087, "padding": 4087}
    change(model / "tokenizer_config.json", eos_token=None)
    assert read_tokenizer(model, 4096).ids == {"eos": 4087, "eot": 4089, "padding": 4087}


def test_the_chat_template_says_the_same_without_marks(tmp_path):
    source = fields(export_gguf(starter(), tmp_path / "m.gguf").path)["tokenizer.chat_template"]
    assert "generation -%}" not in source and "endgeneration" not in source
    talk = [{"role": "system", "content": "s"}, {"role": "user", "content": "q"},
            {"role": "assistant", "content": "a"}, {"role": "user", "content": "r"}]
    before = ChatTemplate.from_folder(starter())
    for more in ({}, {"add_generation_prompt": True}):
        text = before.render(talk, **more).text
        assert ChatTemplate(source).render([*talk], **({"add_generation_prompt": True} if more
                                                       else {})).text == text


@pytest.mark.parametrize(("mark", "end"), [("{% generation %}", "{% endgeneration %}"),
                                           ("{%- generation -%}", "{%- endgeneration -%}"),
                                           ("{%+ generation -%}", "{%-endgeneration%}")])
def test_white_space_around_a_mark_stays_as_it_was(mark, end):
    source = f"a \n  {mark}\n {{{{ messages[0].content }}}} \n {end}\n b"
    plain = without_marks(source)
    assert "generation" not in plain
    talk = [{"role": "assistant", "content": "x"}]
    rendered = compile_template(source).render({"messages": talk})
    assert compile_template(plain).render({"messages": talk}) == parse(rendered).text
