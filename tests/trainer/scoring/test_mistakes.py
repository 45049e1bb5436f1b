import json

import pytest

from tests.trainer.scoring.test_numeric import GSM8K
from trainer.scoring import Mistake, Prediction, kind_of, make
from trainer.scoring.mistakes import grouped, refuses, repeats

LONG = ("First we count the boxes on the table, and then the ones that stand below it. "
        "There are twelve of the former kind, which Anna brought on Monday, while Ben's five came "
        "later and were painted green by a neighbour whose name nobody remembers any more.")

CHINESE = ("我们先数桌子上的盒子，然后再数下面的盒子。安娜星期一带来了十二个，"
           "而本的五个是后来才到的，它们被一位邻居漆成了绿色，"
           "可是如今已经没有人记得他的名字了。")


def kind(output: str, *, finish: str = "stop", metric: str = "numeric", **options) -> Mistake:
    return kind_of(Prediction(1, "?", output, ("42",), finish_reason=finish),
                   make(metric, **options))


@pytest.mark.parametrize("output", ["", "  \n\t", "\0\0", "\u200b\ufeff", "<think>hm</think>\n",
                                    "hm, yes</think>", "\ud800"])
def test_nothing_is_empty(output):
    assert kind(output) == "empty"


def test_thoughts_that_never_ended_were_cut():
    assert kind("<think>Let us see, ", finish="length") == "cut"
    assert kind("<think>Let us see, ") == "empty"


@pytest.mark.parametrize("text", [
    "The answer is 4. " * 30, "好的。" * 40, LONG + " no" * 40, "a" * 100,
    LONG + "\nStep 1\n" + "and then we add one to it, " * 8,
    " ".join(f"{n}. we add the same again" for n in range(60))])
def test_a_loop_is_repetition_also_when_the_length_ended_it(text):
    assert repeats(text) and kind(text, finish="length") == "repetition"


@pytest.mark.parametrize("text", [
    LONG, "ha ha ha", "1, 2, 3, 4, 5, 6, 7, 8, 9, 10", "", "----",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    "很好很好很好", CHINESE])
def test_ordinary_text_is_no_loop(text):
    assert not repeats(text)


@pytest.mark.parametrize("text", [
    "I'm sorry, but I can't help with that.", "I’m sorry, I cannot assist with this request.",
    "Sorry, I am unable to answer this.", "I cannot provide that information.",
    "As an AI language model, I do not have opinions.", "I won't write that.",
    "I apologize, but I'm not able to discuss this.", "This is against my guidelines.",
    "抱歉，我无法回答这个问题。", "对不起，我不能提供这样的帮助。",
    "作为一个人工智能语言模型，我没有个人观点。", "很遗憾，我不便讨论此事。",
    "我无法协助完成此请求。"])
def test_a_refusal_is_told_in_both_languages(text):
    assert refuses(text) and kind(text) == "refusal"


@pytest.mark.parametrize("text", [
    "Sorry, the answer is 5.", "I can help with that: 12.", "He said he was sorry and left.",
    "One cannot divide by zero.", "I cannot be sure, but 5.", "对不起的英文是 sorry。",
    "这个数不能被三整除。", "人工智能是计算机科学的一个分支。", "抱歉，答案是五。",
    "As an aid, I do like it.", "I can't help but laugh."])
def test_what_only_looks_like_one_is_no_refusal(text):
    assert not refuses(text)


@pytest.mark.skipif(not GSM8K.exists(), reason="the shared data is not here")
def test_answers_that_people_wrote_are_neither_loops_nor_refusals():
    answers = [json.loads(line)["answer"] for line in
               GSM8K.read_text(encoding="utf-8").splitlines()]
    assert len(answers) == 1319
    assert not [text for text in answers if repeats(text) or refuses(text)]


def test_the_rest_by_the_form_that_the_metric_reads():
    assert kind("It is 41.") == "content" and kind("It is many.") == "format"
    assert kind("It is 41 or", finish="length") == "cut"
    assert kind("{'a': 1}", metric="json") == "format"
    assert kind("green", metric="classification", labels=["red", "blue"]) == "format"
    assert kind_of(Prediction(1, "?", "anything at all")) == "content"


def test_a_call_is_something_and_none_is_a_matter_of_form():
    call = {"name": "f", "arguments": {}}
    metric = make("tool_calls")
    wanted = Prediction(1, "?", "", expected_calls=(call,), calls=({"name": "g"},))
    assert kind_of(wanted, metric) == "content"
    assert kind_of(Prediction(1, "?", "Sure!", expected_calls=(call,), calls=()),
                   metric) == "format"


def test_rows_are_grouped_and_right_ones_left_out():
    rows = [Prediction(n, "?", text, ("42",)) for n, text in
            enumerate(["42", "", "41", "none", "40"], 1)]
    metric = make("numeric")
    found = grouped(rows, metric.score(rows)[0].values, metric)
    assert list(found) == list(Mistake)
    assert found == {"empty": [2], "content": [3, 5], "format": [4], "repetition": [],
                     "refusal": [], "cut": []}
