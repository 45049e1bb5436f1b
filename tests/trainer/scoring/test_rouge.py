import random

import pytest
from rouge_score.rouge_scorer import RougeScorer

from tests.trainer.scoring.making import said, values
from trainer.failures import Failure
from trainer.scoring import make
from trainer.scoring.rouge import NAMES, common_subsequence
from trainer.scoring.words import jieba_words

WORDS = ["the", "cats", "Running", "ran", "on", "a", "mat", "it's", "3.5", "dog,", "über"]


def texts(count: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    return [" ".join(chance.choices(WORDS, k=chance.randint(1, 30))) for _ in range(count)]


@pytest.mark.parametrize("stem", [False, True])
def test_the_numbers_are_those_of_rouge_score(stem):
    scorer = RougeScorer(list(NAMES), use_stemmer=stem)
    answers, references, others = texts(150, 1), texts(150, 2), texts(150, 3)
    rows = said(*[(a, [r, o]) for a, r, o in zip(answers, references, others, strict=True)])
    found = make("rouge", tokenizer="rouge", stem=stem).score(rows)
    for place, row in enumerate(rows):
        wanted = scorer.score_multi(list(row.references), row.output)
        for scores in found:
            assert scores.values[place] == pytest.approx(wanted[scores.name].fmeasure, abs=1e-12)


def test_worked_out_by_hand():
    """Five and four words, three shared; pairs: one of four and three; subsequence 3."""
    found = make("rouge").score(said(("the cat sat here", "the cat lay down here")))
    assert [values(s)[0] for s in found] == pytest.approx([6 / 9, 2 / 7, 6 / 9])


def test_chinese_is_read_in_words_and_other_scripts_by_letters():
    assert jieba_words("我喜欢自然语言处理。") == ["我", "喜欢", "自然语言", "处理"]
    rows = said(("我喜欢音乐", "我喜欢自然语言处理。"), ("Привет, мир", "привет мир!"),
                ("über", "UBER über"))
    first = make("rouge").score(rows)[0]
    assert values(first) == pytest.approx([4 / 7, 1.0, 2 / 3])


def test_words_that_rouge_does_not_know_are_nothing_to_it():
    assert values(make("rouge", tokenizer="rouge").score(said(("мир", "мир")))[0]) == [0.0]


def test_jieba_reads_no_cache_from_the_temporary_folder(tmp_path, monkeypatch):
    import tempfile

    from trainer.scoring.words import _jieba

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "jieba.cache").write_bytes(b"no dictionary")
    _jieba.cache_clear()
    assert jieba_words("北京大学") == ["北京大学"]
    assert [file.name for file in tmp_path.iterdir()] == ["jieba.cache"]


def test_the_longest_common_subsequence_is_that_of_the_table():
    def table(left, right):
        row = [0] * (len(right) + 1)
        for a in left:
            new = [0]
            for place, b in enumerate(right):
                new.append(row[place] + 1 if a == b else max(row[place + 1], new[-1]))
            row = new
        return row[-1]

    chance = random.Random(7)
    for _ in range(200):
        left, right = (chance.choices("abcd", k=chance.randint(0, 80)) for _ in range(2))
        assert common_subsequence(left, right) == table(left, right)


def test_an_empty_answer_scores_nothing_and_an_empty_reference_is_left_out():
    found = make("rouge").score(said(("", "a b"), ("a", ""), ("...", "!!!")))
    assert [values(s) for s in found] == [[0.0, None, 0.0]] * 3


def test_an_unknown_tokenizer_is_named():
    with pytest.raises(Failure, match="no tokenizer 'mecab'"):
        make("rouge", tokenizer="mecab")
