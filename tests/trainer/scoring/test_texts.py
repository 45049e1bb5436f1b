import pytest

from tests.trainer.scoring.making import only, said, values
from trainer.failures import Failure
from trainer.scoring import make, texts
from trainer.scoring.mistakes import Mistake, grouped
from trainer.scoring.normalise import SQUAD, normaliser


@pytest.mark.parametrize(("names", "text", "plain"), [
    (["whitespace"], "  a \n b\t", "a b"),
    (["case"], "Straße", "strasse"),
    (["width"], "ＡＢＣ１２３　ﬁ", "ABC123 fi"),
    (["punctuation"], "它是，“42”。", "它是42"),
    (["punctuation"], "a-b, c!", "ab c"),
    (["articles"], "The cat and an apple", "  cat and   apple"),
    (SQUAD, "The  Cat's a hat.", "cats hat"),
    (["whitespace", "articles", "case"], "A theory of The", "theory of"),
    ([], " As it is. ", " As it is. ")])
def test_what_is_no_difference_goes(names, text, plain):
    assert normaliser(names)(text) == plain


def test_what_nothing_would_be_left_of_stays():
    plain = normaliser(SQUAD)
    assert [plain(text) for text in ("A", "The.", " ?! ", "", " \n")] == ["a", "the", "?!", "", ""]
    for name in ("exact_match", "contains"):
        rows = said(("A.", "A"), ("a", "A"), ("", "A"), ("B", "A"), ("!", "?"), ("?", "?"))
        assert values(only(name, rows, normalise=SQUAD)) == [1, 1, 0, 0, 0, 1]


def test_squads_own_example():
    """What SQuAD's script makes of these, worked out by hand from its four steps."""
    plain = normaliser(SQUAD)
    assert plain("the Eiffel-Tower, (Paris)") == "eiffeltower paris"
    assert plain("An answer: a, the") == "answer"


def test_an_exact_match_is_one_of_the_references():
    found = only("exact_match", said(("a  b", "a b"), ("A b", "a b"), ("c", ["b", "c"]), ("x", ""),
                                     ("", [])))
    assert values(found) == [1, 0, 1, None, None] and found.value == pytest.approx(2 / 3)
    folded = only("exact_match", said(("A b.", "a b")), normalise=["case", "punctuation"])
    assert values(folded) == [1]


def test_an_unknown_normaliser_is_named():
    with pytest.raises(Failure, match="no normaliser 'stems'"):
        make("exact_match", normalise=["stems"])


def test_contains_one_reference_or_all():
    rows = said(("It is Paris, of course", "paris"), ("Rome", "paris"), ("a b", ["a", "z"]))
    assert values(only("contains", rows)) == [1, 0, 1]
    assert values(only("contains", rows, every=True)) == [1, 0, 0]
    assert values(only("contains", said(("答案是４２", "42")))) == [1]


def test_an_expression_is_found_or_matches_the_whole():
    rows = said(("Answer: 42\n", ""), ("no", ""))
    assert values(only("regex", rows, pattern=r"Answer: \d+")) == [1, 0]
    assert values(only("regex", rows, pattern=r"Answer: \d+", whole=True)) == [0, 0]
    assert values(only("regex", rows, pattern=r"Answer: \d+.", whole=True)) == [1, 0]


def test_an_expression_that_backtracks_for_ever_is_ended(monkeypatch):
    monkeypatch.setattr(texts, "SECONDS", 0.05)
    metric = make("regex", pattern=r"(a|aa)+$")
    hang = "a" * 200 + "b"
    assert values(metric.score(said((hang, "")))[0]) == [0]
    with pytest.raises(Failure, match=r"more than .* s on each of 5 answers"):
        metric.score(said(*[(hang + str(n), "") for n in range(9)]))


def test_answers_that_took_too_long_are_sorted_all_the_same(monkeypatch):
    monkeypatch.setattr(texts, "SECONDS", 0.05)
    metric = make("regex", pattern=r"(a|aa)+$")
    hang = ["a" * 200 + "b" + str(n) for n in range(4)]
    rows = said(*[(text, "") for text in hang + [f"b{n}" for n in range(2000)]])
    [scores] = metric.score(rows)
    assert not any(values(scores))
    assert len(grouped(rows, scores.values, metric)[Mistake.FORMAT]) >= 2000


def test_what_is_no_expression_is_refused():
    with pytest.raises(Failure, match="no regular expression"):
        make("regex", pattern="(")
