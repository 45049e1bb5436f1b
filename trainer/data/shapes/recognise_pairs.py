"""Recognising prompts with answers: two columns, and a verdict beside them (KTO)."""

from __future__ import annotations

from typing import Any

from trainer.data.reading.entry import Columns
from trainer.data.shapes.classify import verdict
from trainer.data.shapes.mapping import ColumnMap, Kind, Shape
from trainer.data.shapes.recognise_chat import chat, extras, other_chat, tags_of
from trainer.data.shapes.sample import Names, Sample, plain
from trainer.data.shapes.turns import as_list, looks_like_turns

_FOREIGN_ANSWERS: Names = ("antwort", "réponse", "reponse", "respuesta", "risposta", "resposta",
                           "antwoord", "ответ", "cevap", "odpowiedź", "回答", "答え", "답변", "답")
_ANSWERS: Names = ("output", "response", "answer", "completion", "target", "outputs", "responses",
                   "answers", "reply", "solution", "输出", "回答", "答案", "回复", "答复", "答",
                   "出力", "ausgabe", *_FOREIGN_ANSWERS)
INSTRUCTIONS: Names = ("instruction", "instructions", "指令", "指示", "anweisung", "instrucción",
                       "instrução", "инструкция")
QUESTIONS: Names = ("question", "query", "user_question", "questions", "问题", "提问", "问", "q",
                    "ask", "frage", "pregunta", "domanda", "pergunta", "vraag", "вопрос", "soru",
                    "pytanie", "質問", "질문")
PROBLEMS: Names = ("problem", "math_problem", "题目")
PROMPTS: Names = ("prompt", "input", "inputs", "user", "human", "source", "src", "user_prompt",
                  "user_input", "user_message", "input_text", "text_input", "source_text",
                  "prompt_text", "request", "context", "提示", "提示词", "输入", "用户")
_COMPLETIONS: Names = ("completion", "response", "output", "assistant", "target", "tgt", "outputs",
                       "targets", "reply", "bot", "gpt", "ai", "assistant_response",
                       "model_response", "output_text", "target_text", "completions", "输出",
                       "回答", "回复", "助手", "答案")
# (kind, prompts, responses, how sure); the first pair that fits wins.
_PAIRS: tuple[tuple[Kind, Names, Names, float], ...] = (
    ("alpaca", INSTRUCTIONS, _ANSWERS, 1.0),
    ("question_answer", QUESTIONS, ("answer", "response", "a", "best_answer", "ground_truth_answer",
                                    *_ANSWERS), 1.0),
    ("question_answer", PROBLEMS, ("solution", *_ANSWERS), 1.0),
    ("prompt_completion", PROMPTS, _COMPLETIONS, 1.0),
    ("prompt_completion", ("user", "human"), ("model",), 0.8),
    ("prompt_completion", ("prompt",), ("canonical_solution",), 0.8),
    ("prompt_completion", ("input", "user", "human", "context", "输入"), _ANSWERS, 0.9),
    ("prompt_completion", ("patient", "customer", "client", "message", "post", "utterance"),
     ("doctor", "agent", "therapist", "reply", "response"), 0.8),
    ("prompt_completion", ("document", "article", "dialogue", "dialog", "text", "passage", "body",
                           "content", "原文"),
     ("summary", "highlights", "abstract", "tldr", "summary_text", "摘要"), 0.6))
_QUERIES: Names = ("input", "context", "passage", "background", "输入", "上下文")
_CHOICES: Names = ("choices", "options", "选项")
_VERDICTS: Names = ("kto_tag", "desirable", "is_desirable", "is_desired", "desired", "thumbs_up",
                    "liked", "is_good", "is_preferred", "is_chosen")


def kto(sample: Sample) -> Shape | None:
    """Recognise answers with a label that says whether each is desired."""
    label, sure = sample.find(("label", *_VERDICTS), lambda v: isinstance(v, bool)), 1.0
    if not label:
        label, sure = sample.find(_VERDICTS, is_verdict), 0.9
    if not label:
        label, sure = sample.find(("label",), is_verdict), 0.7
    rest = (chat(sample) or pair(sample, loose=True) or other_chat(sample)) if label else None
    if rest is None or (sure < 1 and not all(map(is_verdict, sample.values(label)))):
        return None
    columns = rest.mapping.columns.model_copy(update={"kto_tag": label})
    return Shape("kto", ColumnMap(columns, rest.mapping.tags),
                 f"'{label}' says of each answer whether it is desired, beside {rest.reason}",
                 rest.confidence * sure)


def is_verdict(value: Any) -> bool:
    """Tell whether a value is surely yes or no: a boolean, 0 or 1, or the word of one."""
    return verdict(value) is not None


def pair(sample: Sample, *, loose: bool = False) -> Shape | None:
    """Recognise a column of prompts and one of answers.

    Args:
        sample: The rows.
        loose: Take 'prompt' and 'answer' as well, which otherwise may be a prompt with a
            reference (``shapes_prompts``).
    """
    more: tuple[tuple[Kind, Names, Names, float], ...] = (
        ("prompt_completion", ("prompt", "提示"), ("answer", "solution"), 0.8),)
    for kind, prompts, responses, sure in (*_PAIRS, *(more if loose else ())):
        prompt = sample.find(prompts, is_text_or_turns)
        response = sample.find(tuple(name for name in responses if plain(name) != plain(prompt)),
                               is_text_or_turns) if prompt else ""
        if response and response != prompt:
            return make_pair(sample, kind, prompt, response, sure)
    return _code(sample) or _translation(sample)


def _code(sample: Sample) -> Shape | None:
    """Recognise a task beside 'code', which elsewhere may be a mere abbreviation."""
    prompt = sample.find((*INSTRUCTIONS, *QUESTIONS, *PROBLEMS, "prompt", "input", "text", "task",
                          "description", "docstring"), lambda value: isinstance(value, str))
    code = sample.find(("code", "source_code", "program"), _is_code) if prompt else ""
    return make_pair(sample, "prompt_completion", prompt, code, 0.7) if code else None


def _is_code(value: Any) -> bool:
    return isinstance(value, str) and any(mark in value for mark in "(={\n")


def make_pair(sample: Sample, kind: Kind, prompt: str, response: str, sure: float) -> Shape:
    """Return the shape of a prompt and its response, with whatever goes with them."""
    query = query_of(sample, prompt, response)
    columns = Columns(prompt=prompt, response=response, query=query,
                      history=history_of(sample), **extras(sample))
    source = next((name for name in (prompt, response) if sample.most(name, looks_like_turns)), "")
    tags, remark, guess = tags_of(sample.values(source)) if source else tags_of(())
    choices = sample.find(_CHOICES)
    notes = [f" (with '{query}' below the former)" if query else "", remark,
             f"; '{choices}' is not used" if choices else "",
             "; the prompts hold no instruction" if sure == 0.6 else ""]
    return Shape(kind, ColumnMap(columns, tags), f"columns '{prompt}' and '{response}' "
                 f"{sample.extent(prompt, response)}{''.join(notes)}",
                 sample.share(prompt, response) * sure * guess * (0.5 if choices else 1))


def query_of(sample: Sample, prompt: str, *taken: str) -> str | None:
    """Return the column whose text goes below the prompt, as Alpaca's 'input' does."""
    found = sample.find(_QUERIES, lambda value: isinstance(value, str), rare=True)
    return found if found and found not in (prompt, *taken) else None


def history_of(sample: Sample) -> str | None:
    """Return the column of earlier turns; it may be blank in many rows."""
    return sample.find(("history",), lambda value: value == ""
                       or isinstance(as_list(value), list), rare=True) or None


def is_text_or_turns(value: object) -> bool:
    """Tell whether a value is text or a list of turns."""
    return isinstance(value, str) or looks_like_turns(value)


def _translation(sample: Sample) -> Shape | None:
    """Recognise two columns that are named as languages, or lie within 'translation'."""
    texts = [name for name in sample.names if _language(name)
             and sample.most(name, lambda value: isinstance(value, str))]
    if len(texts) != 2 or (not sample.nested and len(sample.names) > 4):
        return None
    shape = make_pair(sample, "prompt_completion", texts[0], texts[1], 0.5)
    return Shape(shape.kind, shape.mapping, f"{shape.reason}; taken for a translation from "
                 f"'{texts[0]}' to '{texts[1]}', without an instruction", shape.confidence)


def _language(name: str) -> bool:
    head, _, code = name.rpartition(".")
    is_code = len(code) == 2 and f" {code} " in _LANGUAGES
    return is_code and (not head or plain(head).endswith("translation"))


_LANGUAGES = (
    " ar bg bn cs da de el en es et fa fi fr he hi hr hu id it ja ko lt lv ms nl no pl pt ro ru sk "
    "sl sr sv sw ta te th tr uk ur vi zh ")
