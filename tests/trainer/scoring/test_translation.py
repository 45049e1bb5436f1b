import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF

from tests.trainer.scoring.making import only, said, values
from tests.trainer.scoring.test_rouge import texts
from trainer.failures import Failure
from trainer.scoring import make
from trainer.scoring.translation import bleu, chrf, sentence_bleu

ANSWERS, REFERENCES = texts(200, 4), texts(200, 5)
ROWS = said(*zip(ANSWERS, REFERENCES, strict=True))


def test_bleu_is_sacrebleus():
    assert only("bleu", ROWS).value == pytest.approx(
        BLEU().corpus_score(ANSWERS, [REFERENCES]).score, abs=1e-9)
    assert only("bleu", ROWS, lowercase=True).value == pytest.approx(
        BLEU(lowercase=True).corpus_score(ANSWERS, [REFERENCES]).score, abs=1e-9)


@pytest.mark.parametrize("order", [0, 2])
def test_chrf_is_sacrebleus(order):
    assert only("chrf", ROWS, word_order=order).value == pytest.approx(
        CHRF(word_order=order).corpus_score(ANSWERS, [REFERENCES]).score, abs=1e-9)


def test_several_references_also_of_different_number():
    more = texts(200, 6)
    rows = said(*[(a, [r, m] if place % 3 else [r]) for place, (a, r, m) in
                  enumerate(zip(ANSWERS, REFERENCES, more, strict=True))])
    second = [m if place % 3 else None for place, m in enumerate(more)]
    for name, metric in (("bleu", BLEU()), ("chrf", CHRF())):
        assert only(name, rows).value == pytest.approx(
            metric.corpus_score(ANSWERS, [REFERENCES, second]).score, abs=1e-9)


@pytest.mark.parametrize(("ours", "metric"), [(bleu, BLEU()), (chrf, CHRF()),
                                              (sentence_bleu, BLEU(effective_order=True))])
def test_the_formula_of_sums_is_sacrebleus_for_any_sums(ours, metric):
    """Also of single rows, where orders are missing and nothing is shared."""
    edge = [("a", "a"), ("a b", "a b"), ("x", "y z"), ("", "a b c d e"), ("a b c x y", "a b c d"),
            ("a b", "a b c d e f g")]
    answers, references = map(list, zip(*edge, *zip(ANSWERS, REFERENCES, strict=True), strict=True))
    stats = np.array(metric._extract_corpus_statistics(answers, [references]))
    drawn = np.random.default_rng(0).integers(0, len(stats), size=(300, 3))
    sums = np.concatenate([stats, stats[drawn].sum(axis=1)]).astype(float)
    wanted = [metric._compute_score_from_stats([int(n) for n in row]).score for row in sums]
    assert ours(sums) == pytest.approx(wanted, abs=1e-9)


def test_chinese_takes_chinese_characters():
    rows = said(("我喜欢吃苹果", "我喜欢吃香蕉。"), ("今天天气很好", "今天天气很好"))
    wanted = BLEU(tokenize="zh").corpus_score([p.output for p in rows],
                                              [[p.references[0] for p in rows]]).score
    found = only("bleu", rows)
    assert found.value == pytest.approx(wanted, abs=1e-9) and "tokenizer zh" in found.detail
    assert "tokenizer 13a" in only("bleu", ROWS).detail


def test_rows_without_a_reference_are_left_out_and_empty_answers_are_not():
    rows = said(("a b c d", "a b c d"), ("a b c d", ""), ("", "a b c d"))
    assert values(only("bleu", rows)) == pytest.approx([100, None, 0], nan_ok=True)
    both = BLEU().corpus_score(["a b c d", ""], [["a b c d", "a b c d"]]).score
    assert only("bleu", rows).value == pytest.approx(both)
    assert np.isnan(only("chrf", said(("a", ""))).value)


def test_options_that_there_are_not():
    with pytest.raises(Failure, match="no tokenizer 'mecab'"):
        make("bleu", tokenizer="mecab")
    with pytest.raises(Failure, match="order 9"):
        make("chrf", word_order=9)
