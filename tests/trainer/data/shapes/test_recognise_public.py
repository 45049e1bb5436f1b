"""Rows as public datasets have them: each is recognised, mapped and converted by itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trainer.data.reading.rows import Row
from trainer.data.shapes.convert import convert
from trainer.data.shapes.recognise import Shape, recognise, shape_from_mapping

CALL = {"name": "get_weather", "arguments": {"city": "Rome"}}
TOOL = {"name": "get_weather", "description": "Weather", "parameters": {"type": "object"}}
U, A = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}
NO = {"role": "assistant", "content": "No"}


def shape(*rows: dict[str, Any]) -> Shape:
    return recognise(Row(number, values) for number, values in enumerate(rows, start=1))


# (row, kind, what the mapping has to hold, the turns' contents)
CHATS: dict[str, tuple[dict[str, Any], str, dict[str, str], list[str]]] = {
    "german": ({"Frage": "Hi", "Antwort": "Yo"}, "question_answer",
               {"prompt": "Frage", "response": "Antwort"}, ["Hi", "Yo"]),
    "spanish": ({"Pregunta": "Hi", "Respuesta": "Yo"}, "question_answer",
                {"prompt": "Pregunta", "response": "Respuesta"}, ["Hi", "Yo"]),
    "mbpp": ({"task_id": 1, "text": "Write one.", "code": "print(1)", "test_list": ["assert 1"]},
             "prompt_completion", {"prompt": "text", "response": "code"},
             ["Write one.", "print(1)"]),
    "human eval": ({"task_id": "a/0", "prompt": "def f():", "canonical_solution": " return 1",
                    "test": "assert 1", "entry_point": "f"}, "prompt_completion",
                   {"prompt": "prompt", "response": "canonical_solution"},
                   ["def f():", " return 1"]),
    "author and body": ({"dialog": [{"author": "Q", "body": "Hi"}, {"author": "A", "body": "Yo"}]},
                        "openai", {"role_tag": "author", "content_tag": "body"}, ["Hi", "Yo"]),
    "dolly": ({"instruction": "Hi", "context": "there", "response": "Yo", "category": "open_qa"},
              "alpaca", {"prompt": "instruction", "query": "context", "response": "response"},
              ["Hi\nthere", "Yo"]),
    "code alpaca": ({"output": "print(1)", "input": "", "instruction": "Print one."}, "alpaca",
                    {"prompt": "instruction", "response": "output"}, ["Print one.", "print(1)"]),
    "evol-instruct": ({"output": "Yo", "instruction": "Hi"}, "alpaca",
                      {"prompt": "instruction", "response": "output"}, ["Hi", "Yo"]),
    "belle": ({"instruction": "你好", "input": "", "output": "您好"}, "alpaca",
              {"prompt": "instruction", "response": "output"}, ["你好", "您好"]),
    "coig-cqia": ({"instruction": "你好", "input": "", "output": "您好", "task_type": {
        "major": ["问答"], "minor": ["百科"]}, "domain": ["通用"], "answer_from": "human"},
        "alpaca", {"prompt": "instruction", "response": "output"}, ["你好", "您好"]),
    "firefly": ({"kind": "NLI", "input": "你好", "target": "您好"}, "prompt_completion",
                {"prompt": "input", "response": "target"}, ["你好", "您好"]),
    "chinese columns": ({"编号": 1, "指令": "你好", "输入": "世界", "输出": "您好"}, "alpaca",
                        {"prompt": "指令", "query": "输入", "response": "输出"},
                        ["你好\n世界", "您好"]),
    "metamath": ({"query": "2+2?", "response": "The answer is: 4", "type": "GSM_Rephrased",
                  "original_question": "2+2?"}, "question_answer",
                 {"prompt": "query", "response": "response"}, ["2+2?", "The answer is: 4"]),
    "open orca": ({"id": "flan.1", "system_prompt": "Be kind.", "question": "Hi",
                   "response": "Yo"}, "question_answer",
                  {"system": "system_prompt", "prompt": "question", "response": "response"},
                  ["Be kind.", "Hi", "Yo"]),
    "open orca, no system": ({"id": "flan.1", "system_prompt": "", "question": "Hi",
                              "response": "Yo"}, "question_answer", {"system": "system_prompt"},
                             ["Hi", "Yo"]),
    "squad": ({"id": "5", "title": "Rome", "context": "Rome is in Italy.",
               "question": "Where is Rome?",
               "answers": {"text": ["Italy", "in Italy"], "answer_start": [11, 8]}},
              "question_answer", {"prompt": "question", "query": "context",
                                  "response": "answers.text[0]"},
              ["Where is Rome?\nRome is in Italy.", "Italy"]),
    "natural questions": ({"question": "Who?", "answer": ["Ann", "Anne"]}, "question_answer",
                          {"prompt": "question", "response": "answer[0]"}, ["Who?", "Ann"]),
    "numina": ({"source": "olympiads", "problem": "2+2?", "solution": "We add: 4.",
                "answer": "4"}, "question_answer", {"prompt": "problem", "response": "solution"},
               ["2+2?", "We add: 4."]),
    "flan": ({"inputs": "Hi", "targets": "Yo", "task": "dialog"}, "prompt_completion",
             {"prompt": "inputs", "response": "targets"}, ["Hi", "Yo"]),
    "input and target": ({"input": "Hi", "target": "Yo"}, "prompt_completion",
                         {"prompt": "input", "response": "target"}, ["Hi", "Yo"]),
    "user and assistant": ({"user": "Hi", "assistant": "Yo"}, "prompt_completion",
                           {"prompt": "user", "response": "assistant"}, ["Hi", "Yo"]),
    "vertex": ({"input_text": "Hi", "output_text": "Yo"}, "prompt_completion",
               {"prompt": "input_text", "response": "output_text"}, ["Hi", "Yo"]),
    "counselling": ({"Context": "I am sad.", "Response": "Tell me."}, "prompt_completion",
                    {"prompt": "Context", "response": "Response"}, ["I am sad.", "Tell me."]),
    "capitals and hyphens": ({"User-Prompt": "Hi", "Model Response": "Yo"}, "prompt_completion",
                             {"prompt": "User-Prompt", "response": "Model Response"},
                             ["Hi", "Yo"]),
    "xsum": ({"document": "A long story.", "summary": "A story.", "id": "1"},
             "prompt_completion", {"prompt": "document", "response": "summary"},
             ["A long story.", "A story."]),
    "cnn": ({"article": "A long story.", "highlights": "A story.", "id": "1"},
            "prompt_completion", {"prompt": "article", "response": "highlights"},
            ["A long story.", "A story."]),
    "samsum": ({"id": "1", "dialogue": "Ann: Hi\nBob: Yo", "summary": "They greet."},
               "prompt_completion", {"prompt": "dialogue", "response": "summary"},
               ["Ann: Hi\nBob: Yo", "They greet."]),
    "wmt": ({"translation": {"en": "Hello", "fr": "Bonjour"}}, "prompt_completion",
            {"prompt": "translation.en", "response": "translation.fr"}, ["Hello", "Bonjour"]),
    "languages": ({"en": "Hello", "zh": "你好"}, "prompt_completion",
                  {"prompt": "en", "response": "zh"}, ["Hello", "你好"]),
    "nested": ({"id": 1, "data": {"question": "Hi", "answer": "Yo"}}, "question_answer",
               {"prompt": "data.question", "response": "data.answer"}, ["Hi", "Yo"]),
    "json in a cell": ({"id": 1, "payload": '{"question": "Hi", "answer": "Yo"}'},
                       "question_answer", {"prompt": "payload.question",
                                           "response": "payload.answer"}, ["Hi", "Yo"]),
    "dotted columns": ({"data.question": "Hi", "data.answer": "Yo"}, "question_answer",
                       {"prompt": "data.question", "response": "data.answer"}, ["Hi", "Yo"]),
    "seed tasks": ({"id": "1", "name": "n", "instruction": "Hi", "is_classification": False,
                    "instances": [{"input": "", "output": "Yo"}]}, "alpaca",
                   {"prompt": "instruction", "query": "instances[0].input",
                    "response": "instances[0].output"}, ["Hi", "Yo"]),
    "swift": ({"system": "S", "query": "Hi", "response": "Yo", "history": [["a", "b"]]},
              "question_answer", {"history": "history"}, ["S", "a", "b", "Hi", "Yo"]),
    "ultrachat_200k": ({"prompt": "Hi", "prompt_id": "f0", "messages": [U, A]}, "openai",
                       {"messages": "messages", "role_tag": "role"}, ["Hi", "Yo"]),
    "ultrachat": ({"id": "0", "data": ["Hi", "Yo", "And?", "So."]}, "sharegpt",
                  {"messages": "data"}, ["Hi", "Yo", "And?", "So."]),
    "sharegpt, role and content": ({"conversations": [U, A]}, "openai",
                                   {"messages": "conversations", "role_tag": "role"},
                                   ["Hi", "Yo"]),
    "sharegpt raw": ({"id": "x_0", "conversations": [{"from": "user", "value": "Hi"},
                                                     {"from": "bing", "value": "Yo"}]},
                     "sharegpt", {"user_tag": "user", "assistant_tag": "bing"}, ["Hi", "Yo"]),
    "exchanges": ({"conversation_id": 1, "conversation": [
        {"human": "Hi", "assistant": "Yo"}, {"human": "And?", "assistant": "So."}]}, "sharegpt",
        {"messages": "conversation", "user_tag": "human", "assistant_tag": "assistant"},
        ["Hi", "Yo", "And?", "So."]),
    "xtuner": ({"conversation": [{"system": "S", "input": "Hi", "output": "Yo"}]}, "sharegpt",
               {"user_tag": "input", "assistant_tag": "output"}, ["S", "Hi", "Yo"]),
    "gemini": ({"systemInstruction": {"role": "system", "parts": [{"text": "S"}]},
                "contents": [{"role": "user", "parts": [{"text": "Hi"}]},
                             {"role": "model", "parts": [{"text": "Yo"}]}]}, "openai",
               {"messages": "contents", "system": "systemInstruction", "content_tag": "parts",
                "assistant_tag": "model"}, ["S", "Hi", "Yo"]),
    "cohere": ({"messages": [{"role": "System", "content": "S"}, {"role": "User", "content": "Hi"},
                             {"role": "Chatbot", "content": "Yo"}]}, "openai",
               {"assistant_tag": "Chatbot"}, ["S", "Hi", "Yo"]),
    "guanaco": ({"text": "### Human: Hi### Assistant: Yo\n### A heading\n\nSo."}, "sharegpt",
                {"messages": "text"}, ["Hi", "Yo\n### A heading\n\nSo."]),
    "turns in a csv": ({"conversations": json.dumps([U, A])}, "openai", {}, ["Hi", "Yo"]),
    "capybara": ({"source": "x", "conversation": [{"input": "Hi", "output": "Yo"}]}, "sharegpt",
                 {"messages": "conversation"}, ["Hi", "Yo"]),
    "a single column of turns": ({"id": 7, "thread_of_words": [U, A]}, "openai",
                                 {"messages": "thread_of_words"}, ["Hi", "Yo"]),
}


@pytest.mark.parametrize("name", CHATS)
def test_conversations(name: str) -> None:
    row, kind, mapping, texts = CHATS[name]
    found = shape(row)
    assert (found.kind, found.mapping.document() | mapping) == (kind, found.mapping.document())
    assert 0 < found.confidence <= 1 and found.reason
    example = convert(Row(1, row), found)
    assert [turn.content for turn in example.messages] == texts
    assert [turn.role for turn in example.messages if turn.role != "system"] == [
        "user", "assistant"] * (len(texts) // 2)


@pytest.mark.parametrize("name", CHATS)
def test_a_mapping_can_be_written_down_and_read_again(name: str) -> None:
    row, kind, _, texts = CHATS[name]
    again = shape_from_mapping(shape(row).mapping.document(), kind)
    assert again.mapping == shape(row).mapping
    assert [turn.content for turn in convert(Row(1, row), again).messages] == texts


WHOLE, WORSE = [U, A], [U, NO]
HH = "\n\nHuman: Hi\n\nAssistant: "
PAIRS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "trl, explicit": ({"prompt": [U], "chosen": [A], "rejected": [NO]}, {"prompt": "prompt"}),
    "trl, implicit": ({"chosen": WHOLE, "rejected": WORSE}, {"chosen": "chosen"}),
    "ultrafeedback binarized": (
        {"prompt": "Hi", "prompt_id": "0", "chosen": WHOLE, "rejected": WORSE, "messages": WHOLE,
         "score_chosen": 9.0, "score_rejected": 2.0}, {"chosen": "chosen"}),
    "orca pairs": ({"system": "", "question": "Hi", "chosen": "Yo", "rejected": "No"},
                   {"prompt": "question", "system": "system"}),
    "alpaca": ({"instruction": "Hi", "input": "", "chosen": "Yo", "rejected": "No"},
               {"prompt": "instruction"}),
    "responses": ({"prompt": "Hi", "response_chosen": "Yo", "response_rejected": "No"},
                  {"chosen": "response_chosen", "rejected": "response_rejected"}),
    "accepted": ({"question": "Hi", "accepted": "Yo", "rejected": "No"}, {"chosen": "accepted"}),
    "stack exchange": ({"qid": 1, "question": "Hi", "response_j": "Yo", "response_k": "No"},
                       {"chosen": "response_j", "rejected": "response_k"}),
    "winner": ({"prompt": "Hi", "winner": "Yo", "loser": "No"}, {"chosen": "winner"}),
    "shepherd": ({"input": "Hi", "preferred_output": "Yo", "non_preferred_output": "No"},
                 {"prompt": "input", "rejected": "non_preferred_output"}),
    "one message": ({"messages": [U], "chosen": A, "rejected": NO}, {"messages": "messages"}),
    "lists of one text": ({"prompt": "Hi", "chosen": ["Yo"], "rejected": ["No"]},
                          {"prompt": "prompt"}),
    "ultrainteract": ({"trajectory": [{"from": "user", "value": "Hi"}], "chosen": "Yo",
                       "rejected": "No"}, {"messages": "trajectory"}),
    "openai": ({"input": {"messages": [U], "tools": []}, "preferred_output": [A],
                "non_preferred_output": [NO]}, {"messages": "input.messages"}),
    "hh": ({"chosen": HH + "Yo", "rejected": HH + "No"}, {"chosen": "chosen"}),
    "hh with a prompt": ({"prompt": HH.strip(" "), "chosen": "Yo", "rejected": "No"},
                         {"prompt": "prompt"}),
    "in a csv": ({"prompt": "Hi", "chosen": json.dumps(WHOLE), "rejected": json.dumps(WORSE)},
                 {"chosen": "chosen"}),
    "chinese": ({"问题": "Hi", "优选": "Yo", "劣选": "No"}, {"prompt": "问题"}),
}


@pytest.mark.parametrize("name", PAIRS)
def test_preferences(name: str) -> None:
    row, mapping = PAIRS[name]
    found = shape(row)
    assert found.kind in ("preference", "hh_rlhf")
    assert found.mapping.document() | mapping == found.mapping.document()
    for known in (found, shape_from_mapping(found.mapping.document(), found.kind)):
        example = convert(Row(1, row), known)
        assert [(turn.role, turn.content) for turn in example.messages] == [("user", "Hi")]
        assert [turn.content for turn in example.chosen + example.rejected] == ["Yo", "No"]


VERDICTS: dict[str, dict[str, Any]] = {
    "trl": {"prompt": "Hi", "completion": "Yo", "label": False},
    "trl, turns": {"prompt": [U], "completion": [A], "label": False},
    "messages": {"messages": [U, A], "label": False},
    "llama-factory": {"instruction": "Hi", "input": "", "output": "Yo", "kto_tag": False},
    "numbers": {"prompt": "Hi", "completion": "Yo", "label": 0},
    "words": {"prompt": "Hi", "completion": "Yo", "label": "False"},
    "another name": {"question": "Hi", "answer": "Yo", "desirable": "0"},
    "sharegpt": {"conversations": [{"from": "human", "value": "Hi"},
                                   {"from": "gpt", "value": "Yo"}], "kto_tag": False},
}


@pytest.mark.parametrize("name", VERDICTS)
def test_verdicts(name: str) -> None:
    found = shape(VERDICTS[name])
    example = convert(Row(1, VERDICTS[name]), found)
    assert (found.kind, example.label) == ("kto", False)
    assert [turn.content for turn in example.messages] == ["Hi", "Yo"]


WAITING: dict[str, tuple[dict[str, Any], str]] = {
    "trl, grpo": ({"prompt": [U], "answer": "72"}, "72"),
    "ground truth": ({"prompt": "Hi", "ground_truth": "72"}, "72"),
    "reference": ({"question": "Hi", "reference": "72"}, "72"),
    "a number": ({"problem": "Hi", "final_answer": 72}, "72"),
    "short answers": ({"prompt": "Hi", "answer": "72"}, "72"),
    "solution": ({"prompt": [U], "solution": "$72$", "level": "3"}, "$72$"),
    "messages": ({"messages": [U], "reference_answer": "72"}, "72"),
    "verl": ({"data_source": "gsm8k", "prompt": [U], "ability": "math",
              "reward_model": {"style": "rule", "ground_truth": "72"},
              "extra_info": {"index": 0}}, "72"),
    "several right ones": ({"prompt": "Hi", "gold": ["72", "72.0"]}, '["72", "72.0"]'),
    "trl, prompt only": ({"prompt": [U]}, ""),
    "a prompt alone": ({"id": "3", "prompt": "Hi"}, ""),
}


@pytest.mark.parametrize("name", WAITING)
def test_prompts_that_wait_for_an_answer(name: str) -> None:
    row, reference = WAITING[name]
    found = shape(row)
    example = convert(Row(1, row), found)
    assert (found.kind, example.reference) == ("prompt_only", reference)
    assert [(turn.role, turn.content) for turn in example.messages] == [("user", "Hi")]


def test_long_answers_to_prompts_are_answers_to_learn() -> None:
    found = shape({"prompt": "Hi", "answer": "It depends. " * 9})
    assert found.kind == "prompt_completion" and found.confidence < 0.7
    assert "the answers are long" in found.reason


LABELS: dict[str, tuple[list[dict[str, Any]], dict[str, str], tuple[str, ...], str]] = {
    "imdb": ([{"text": "Good.", "label": 1}, {"text": "Bad.", "label": 0}],
             {"prompt": "text", "label": "label"}, ("0", "1"), "1"),
    "names": ([{"sentence": "Good.", "sentiment": "positive"},
               {"sentence": "Bad.", "sentiment": "negative"}],
              {"prompt": "sentence", "label": "sentiment"}, ("negative", "positive"), "positive"),
    "names of numbers": ([{"text": "Good.", "label": 1, "label_text": "spam"},
                          {"text": "Bad.", "label": 0, "label_text": "ham"}],
                         {"label": "label_text"}, ("ham", "spam"), "spam"),
    "nli": ([{"premise": "Good.", "hypothesis": "Well.", "label": "entailment"},
             {"premise": "Bad.", "hypothesis": "Well.", "label": "contradiction"}],
            {"prompt": "premise", "query": "hypothesis"}, ("contradiction", "entailment"),
            "entailment"),
    "intents": ([{"text": "Good.", "category": "card_arrival"},
                 {"text": "Bad.", "category": "card_lost"}], {"label": "category"},
                ("card_arrival", "card_lost"), "card_arrival"),
    "chinese": ([{"评论": "好", "标签": "好评"}, {"评论": "坏", "标签": "差评"}],
                {"prompt": "评论", "label": "标签"}, ("好评", "差评"), "好评"),
}


@pytest.mark.parametrize("name", LABELS)
def test_classes_become_questions(name: str) -> None:
    rows, mapping, classes, answer = LABELS[name]
    found = shape(*rows)
    assert (found.kind, set(found.mapping.classes)) == ("classification", set(classes))
    assert found.mapping.document() | mapping == found.mapping.document()
    for known in (found, shape_from_mapping(found.mapping.document())):
        user, assistant = convert(Row(1, rows[0]), known).messages
        assert (assistant.role, assistant.content) == ("assistant", answer)
        assert user.content.startswith("Which of these classes")
        assert all(text in user.content for text in (*classes, str(next(iter(rows[0].values())))))


def test_a_sorted_file_names_all_its_classes() -> None:
    rows = [{"text": f"{n}", "label": n // 300} for n in range(900)]
    assert shape(*rows).mapping.classes == ("0", "1", "2")


def test_numbers_get_the_names_that_a_mapping_gives() -> None:
    named = shape_from_mapping({"prompt": "text", "label": "label", "classes": "bad, good"})
    assert convert(Row(1, {"text": "x", "label": 1}), named).messages[1].content == "good"


@pytest.mark.parametrize(("row", "words"), [
    ({"message_id": "1", "parent_id": None, "text": "Hi", "role": "prompter"},
     "one message of a conversation"),
    ({"question": "Hi", "choices": ["a", "b"], "note": 2},
     "'question' seems to hold prompts, but no column is known to answer them"),
    ({"prompt": "Hi", "chosen": "Yo", "note": "x" * 50}, "'chosen' has no 'rejected' beside it"),
    ({"prompt": "Hi", "response_0": "word " * 20, "response_1": "word " * 20,
      "better_response_id": 0}, "are needed"),
    ({"conversation_a": [U, A], "conversation_b": [U, NO], "winner": "model_a"},
     "'conversation_a', 'conversation_b' hold turns: say which"),
    ({"anchor": "a", "positive": "b", "negative": "c"}, "are needed"),
    ({"text": ["a", "b"], "id": 1}, "are needed")])
def test_what_is_not_surely_understood_is_not_taken(row: dict[str, Any], words: str) -> None:
    found = shape(row)
    assert (found.kind, found.confidence) == ("unknown", 0)
    assert words in found.reason


def test_unused_columns_are_named() -> None:
    row = {"question": "Hi", "answer": "Yo", "id": 1, "choices": ["a"]}
    found = shape(row)
    assert found.unused == ("id", "choices")
    assert "'choices' is not used" in found.reason and found.confidence == 0.5


def test_speakers_with_other_names_are_told_by_their_places() -> None:
    def talk(*names: str) -> dict[str, Any]:
        return {"dialog": [{"speaker": name, "text": f"{n}"} for n, name in enumerate(names)]}
    found = shape(talk("patient", "doctor"), talk("patient", "doctor", "patient", "doctor"))
    assert found.mapping.document() | {"user_tag": "patient", "assistant_tag": "doctor"} == (
        found.mapping.document())
    assert found.confidence == 0.6 and "'patient' is taken for the user" in found.reason
    assert [m.role for m in convert(Row(1, talk("patient", "doctor")), found).messages] == [
        "user", "assistant"]
    odd = shape(talk("a", "b"), talk("b", "a"), talk("c", "a"))
    assert odd.mapping.tags.user_tag == "user"


@pytest.mark.parametrize(("row", "said"), [
    ({"question": "Is it?", "answer": True, "passage": "It is."}, "'answer' would answer"),
    ({"question": "Which?", "choices": ["a", "b"], "answer": 1}, "write the answers as text"),
    ({"role": "user", "content": "Hi"}, "one message of a conversation"),
    ({"from": "human", "value": "Hi"}, "one message of a conversation")])
def test_what_is_not_known_says_what_is_missing(row: dict[str, Any], said: str) -> None:
    found = shape(row, row)
    assert found.kind == "unknown"
    assert said in found.reason


def test_the_name_of_a_model_answers_nothing() -> None:
    row = {"prompt": "Hi", "answers": [{"answer": "Yo", "model": "gpt-4", "rank": 1.0}]}
    columns = shape(row, row).mapping.columns
    assert "answers[0].model" not in columns.model_dump().values()
    assert shape({"prompt": "Hi", "model": "gpt-4"}).mapping.columns.response is None


@pytest.mark.parametrize(("row", "classes"), [
    ({"ticket": "It broke.", "category": "hardware"}, ("hardware", "other")),
    ({"Review": "Great", "Rating": "5"}, ("other", "5"))])
def test_tables_with_a_class(row: dict[str, Any], classes: tuple[str, ...]) -> None:
    label = list(row)[1]
    found = shape(row, {**row, label: "other"})
    assert (found.kind, found.mapping.columns.label) == ("classification", label)
    assert found.mapping.classes == classes


@pytest.mark.parametrize(("good", "bad"), [
    ({"question": "a", "answer": "b"}, {"question": 5, "answer": ["b"]}),
    ({"messages": [U, A]}, {"messages": None})])
def test_rows_that_are_mostly_broken_keep_their_shape(good: dict[str, Any],
                                                      bad: dict[str, Any]) -> None:
    found, sound = shape(bad, good, bad, bad), shape(good)
    assert (found.kind, found.mapping) == (sound.kind, sound.mapping)
    assert 0 < found.confidence < 0.5 or None in bad.values()
