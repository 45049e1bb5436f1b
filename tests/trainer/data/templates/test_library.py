"""The templates that come with Finestra: their texts, and what is learned of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as Engine

from trainer.contract.places import template_folder, template_names
from trainer.data.shapes.messages import Message
from trainer.data.templates.chat import ChatTemplate, choose_template
from trainer.data.templates.library import library, read_template
from trainer.data.templates.sandbox import TemplateError
from trainer.data.tokens.tokenizer import IGNORED, Tokenizer

WANTED = {"default", "empty", "alpaca", "chatml", "qwen", "qwen3", "qwen3_nothink", "llama3",
          "gemma", "mistral", "deepseekr1", "vicuna", "llama2", "gemma2", "gemma3", "deepseek3",
          "phi4", "yi", "zephyr", "glm4", "mistral_small", "internlm2", "granite3", "baichuan2",
          "cohere"}
CALL = Message("assistant", "", (
    {"type": "function", "function": {"name": "add", "arguments": {"a": 1}}},))
TOOLS = [{"type": "function", "function": {
    "name": "add", "description": "Add.", "parameters": {
        "type": "object", "properties": {"a": {"type": "integer", "description": "x"}},
        "required": ["a"]}}}]
TALK = [Message("system", "Sys"), Message("user", "A?"), Message("assistant", "B."),
        Message("user", "C?"), Message("assistant", "D.")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level tokenizer whose first and last tokens are <s> and </s>."""
    folder = tmp_path_factory.mktemp("bytes")
    engine = Engine(models.BPE(vocab={
        letter: index for index, letter in enumerate(pre_tokenizers.ByteLevel.alphabet())},
        merges=[]))
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.decoder = decoders.ByteLevel()
    engine.add_special_tokens([AddedToken("<s>"), AddedToken("</s>")])
    engine.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"bos_token": "<s>", "eos_token": "</s>"}))
    return folder


def conversation(values: dict[str, Any]) -> tuple[list[Message], list[dict[str, Any]] | None]:
    """Read a conversation of the parity file."""
    messages = [Message("system", values["system"])] if "system" in values else []
    for role, content in values["messages"]:
        if role == "function":
            messages.append(Message("assistant", "", (
                {"type": "function", "function": content},)))
        else:
            messages.append(Message.of({"role": role.replace("observation", "tool"),
                                        "content": content}))
    return messages, [{"type": "function", "function": tool}
                      for tool in values.get("tools", [])] or None


def test_text_and_labels_are_those_that_llama_factory_users_know(
        shared: Path, folder: Path) -> None:
    parity = json.loads((shared / "reference" / "template_parity.json").read_text("utf-8"))
    tokenizer = Tokenizer.from_folder(folder)
    for row in parity["rows"]:
        messages, tools = conversation(parity["conversations"][row["conv"]])
        tokens = tokenizer.encode(
            ChatTemplate.named(row["template"], folder).render(messages, tools))
        learned = tokenizer.decode([i for i in tokens.labels if i != IGNORED])
        name = row["template"], row["conv"]
        assert (*name, tokenizer.decode(tokens.input_ids)) == (*name, row["text"])
        assert (*name, learned) == (*name, row["trained"])
    assert len(parity["rows"]) == 55


def test_there_are_the_names_that_people_know() -> None:
    assert set(template_names()) >= WANTED


def test_the_document_names_them_all() -> None:
    page = (template_folder().parents[1] / "docs" / "templates.md").read_text(encoding="utf-8")
    for named in library():
        assert f"| `{named.name}` | {named.about.removesuffix('.')} |" in page


@pytest.mark.parametrize("named", library(), ids=lambda named: named.name)
def test_each_says_what_it_is_for_and_marks_what_is_said(named: Any) -> None:
    assert all((named.about, named.system, named.tools, named.thinking))
    template = ChatTemplate.named(named.name)
    assert template.how == "marked"
    assert template.eos == {"eos": "</s>"}.get(named.end, named.end)
    rendered = template.render(TALK)
    assert [rendered.text[a:b].strip()[:2] for a, b in rendered.trained] == (
        ["<t", "<t"] if "empty thought" in named.thinking else ["B.", "D."])
    assert rendered.text[slice(*rendered.trained[-1])].strip().endswith(template.eos or "D.")


@pytest.mark.parametrize("name", template_names())
def test_a_prompt_is_what_stands_before_the_answer(name: str) -> None:
    template = ChatTemplate.named(name)
    talk = [TALK[1], CALL, Message("tool", "2"), Message("assistant", "Two"), *TALK[3:]]
    for tools, messages in ((None, TALK), (TOOLS, talk)):
        whole = template.render(messages, tools)
        said = [index for index, turn in enumerate(messages) if turn.role == "assistant"]
        for index, (start, _) in zip(said, whole.answers, strict=True):
            prompt = template.render(messages[:index], tools, add_generation_prompt=True).text
            assert whole.text[:start] == prompt


@pytest.mark.parametrize("name", template_names())
def test_tools_calls_and_answers_are_shown(name: str) -> None:
    text = ChatTemplate.named(name).render(
        [TALK[1], CALL, Message("tool", "result 7"), Message("assistant", "Two")], TOOLS).text
    assert "Add." in text
    assert "result 7" in text
    assert '{"a": 1}' in text


@pytest.mark.parametrize("name", template_names())
def test_a_thought_beside_the_content_is_learned_once(name: str) -> None:
    template = ChatTemplate.named(name)
    beside = [{"role": "user", "content": "Q"},
              {"role": "assistant", "content": "R", "reasoning_content": "t1"}]
    inside = [Message("user", "Q"), Message("assistant", "<think>\nt1\n</think>\n\nR")]
    rendered = template.render(beside)
    assert rendered == template.render(inside)
    assert rendered.text.count("<think>") == 1


@pytest.mark.parametrize(("name", "text", "trained"), [
    ("llama2", "<s>[INST] <<SYS>>\nSys\n<</SYS>>\n\nA? [/INST] B. </s>"
     "<s>[INST] C? [/INST] D. </s>",
     [" B. </s>", " D. </s>"]),
    ("vicuna", "<s>Sys USER: A? ASSISTANT: B.</s>USER: C? ASSISTANT: D.</s>",
     [" B.</s>", " D.</s>"]),
    ("deepseek3", "<s>Sys<｜User｜>A?<｜Assistant｜>B.</s><｜User｜>C?<｜Assistant｜>D.</s>",
     ["B.</s>", "D.</s>"]),
    ("phi4", "<|im_start|>system<|im_sep|>Sys<|im_end|><|im_start|>user<|im_sep|>A?<|im_end|>"
     "<|im_start|>assistant<|im_sep|>B.<|im_end|><|im_start|>user<|im_sep|>C?<|im_end|>"
     "<|im_start|>assistant<|im_sep|>D.<|im_end|>", ["B.<|im_end|>", "D.<|im_end|>"]),
    ("zephyr", "<|system|>\nSys</s>\n<|user|>\nA?</s>\n<|assistant|>\nB.</s>\n<|user|>\nC?</s>\n"
     "<|assistant|>\nD.</s>\n", ["B.</s>\n", "D.</s>\n"]),
    ("glm4", "[gMASK]<sop><|system|>\nSys<|user|>\nA?<|assistant|>\nB.<|user|>\nC?<|assistant|>\nD."
     "</s>", ["\nB.<|user|>", "\nD.</s>"]),
    ("mistral_small", "<s>[SYSTEM_PROMPT]Sys[/SYSTEM_PROMPT][INST]A?[/INST]B.</s>[INST]C?[/INST]D."
     "</s>", ["B.</s>", "D.</s>"]),
    ("granite3", "<|start_of_role|>system<|end_of_role|>Sys<|end_of_text|>\n"
     "<|start_of_role|>user<|end_of_role|>A?<|end_of_text|>\n"
     "<|start_of_role|>assistant<|end_of_role|>B.<|end_of_text|>\n"
     "<|start_of_role|>user<|end_of_role|>C?<|end_of_text|>\n"
     "<|start_of_role|>assistant<|end_of_role|>D.<|end_of_text|>\n",
     ["B.<|end_of_text|>\n", "D.<|end_of_text|>\n"]),
    ("baichuan2", "Sys<reserved_106>A?<reserved_107>B.<reserved_106>C?<reserved_107>D.</s>",
     ["B.", "D.</s>"]),
    ("cohere", "<s><|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>Sys<|END_OF_TURN_TOKEN|>"
     "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>A?<|END_OF_TURN_TOKEN|>"
     "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>B.<|END_OF_TURN_TOKEN|>"
     "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>C?<|END_OF_TURN_TOKEN|>"
     "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>D.<|END_OF_TURN_TOKEN|>",
     ["B.<|END_OF_TURN_TOKEN|>", "D.<|END_OF_TURN_TOKEN|>"]),
    ("gemma3", "<s><start_of_turn>user\nSys\n\nA?<end_of_turn>\n<start_of_turn>model\n"
     "B.<end_of_turn>\n<start_of_turn>user\nC?<end_of_turn>\n<start_of_turn>model\n"
     "D.<end_of_turn>\n", ["B.<end_of_turn>\n", "D.<end_of_turn>\n"])])
def test_the_others_have_the_models_published_format(name: str, text: str,
                                                     trained: list[str]) -> None:
    rendered = ChatTemplate.named(name).render(TALK)
    assert rendered.text == text
    assert [text[a:b] for a, b in rendered.trained] == trained


def test_a_name_that_nobody_has_is_refused() -> None:
    with pytest.raises(TemplateError, match="chatml") as caught:
        read_template("chatml2")
    assert caught.value.code == "unknown_template"


def test_a_name_or_the_tokenizers_own_can_be_chosen(folder: Path) -> None:
    assert choose_template(folder, "llama3").eos == "<|eot_id|>"
    assert choose_template(folder, "llama3").stop_strings == ("<|eot_id|>", "<|eom_id|>")
    with pytest.raises(TemplateError, match="Choose one by name"):
        choose_template(folder)


def test_a_tokenizer_without_an_end_needs_a_template_with_one(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    with pytest.raises(TemplateError) as caught:
        ChatTemplate.named("default", tmp_path)
    assert caught.value.code == "no_end_token"
    assert ChatTemplate.named("chatml", tmp_path).eos == "<|im_end|>"
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [257]}')
    assert ChatTemplate.named("default", tmp_path).eos == "</s>"
