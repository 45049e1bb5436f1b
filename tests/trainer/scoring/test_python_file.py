"""A user's own metric: only with consent, in a child, and what goes wrong in it is said."""

import textwrap

import pytest

from tests.trainer.scoring.making import only, said, values
from trainer.contract.consent import digest, metric_problems
from trainer.contract.kinds.evaluate import MetricUse
from trainer.failures import Failure
from trainer.scoring import make, python_file
from trainer.scoring.python_file import Bounds


@pytest.fixture
def written(tmp_path):
    def write(body):
        path = tmp_path / "my_metric.py"
        path.write_text(textwrap.dedent(body), encoding="utf-8")
        return path
    return write


def scored(path, rows, **bounds):
    return only("python", rows, path=str(path), sha256=digest(path),
                bounds=Bounds(**bounds) if bounds else None)


def test_what_the_function_returns_counts(written, monkeypatch):
    monkeypatch.setattr(python_file, "AT_ONCE", 2)
    path = written("""
        import os, numpy
        def score(prompts, predictions, references):
            print(prompts)
            same = [None if not r else numpy.float32(p == r) for p, r in
                    zip(predictions, references)]
            return (one if len(same) <= 2 else 9 for one in same)
        """)
    found = scored(path, said(("é", "é"), ("b", "c"), ("x", ""), ("\0", "\0"), ("\ud800", "\ud800"),
                              ("a" * 100_000, []), ("a", ["a", "b"])))
    assert values(found) == [1, 0, None, 1, 1, None, 1] and found.name == "python"
    assert found.detail == f"my_metric.py {digest(path)[:12]}"


def test_it_runs_only_as_it_was_read(written, tmp_path):
    path = written("def score(p, a, r): return [1.0] * len(a)")
    use = MetricUse(name="python", path=str(path))
    [asked] = metric_problems([MetricUse(name="bleu"), use])
    assert (asked.code, asked.field) == ("metric_consent", "metrics.1.sha256")
    assert digest(path) in asked.advice
    with pytest.raises(Failure) as raised:
        make("python", path=str(path))
    assert raised.value.code == "metric_consent"
    given = use.model_copy(update={"sha256": digest(path)})
    assert metric_problems([given]) == []
    metric = make("python", **given.options())
    path.write_text(f"open({str(tmp_path / 'marker')!r}, 'w')")
    assert values(metric.score(said(("a", "b")))[0]) == [1]
    assert [p.code for p in metric_problems([given])] == ["metric_changed"]
    with pytest.raises(Failure) as raised:
        make("python", **given.options())
    assert raised.value.code == "metric_changed" and not (tmp_path / "marker").exists()


@pytest.mark.parametrize("name", ["none.py", "a\0b", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name):
    with pytest.raises(Failure, match="cannot be read") as raised:
        make("python", path=str(tmp_path / name), sha256="0" * 64)
    assert raised.value.code == "metric_file"
    with pytest.raises(Failure, match="cannot be read"):
        make("python", path=f"~nobody-of-that-name/{name}", sha256="0" * 64)
    (tmp_path / "large.py").write_bytes(b"#" * (2**20 + 1))
    with pytest.raises(Failure, match="larger than 1 MiB"):
        make("python", path=str(tmp_path / "large.py"), sha256="0" * 64)


@pytest.mark.parametrize(("body", "words"), [
    ("def score(p, a, r):\n    x = 1\n    raise KeyError('nope')", "line 3: KeyError: 'nope'"),
    ("def score(p, a, r):\n    return help(a)\ndef help(a):\n    return 1 / 0",
     "line 4: ZeroDivisionError: division by zero"),
    ("def score(p, a, r):\n    return [int(x) for x in a]", "line 2: ValueError: invalid literal"),
    ("def score(:", "line 1: SyntaxError"), ("x = 1\nimport no_such_module", "line 2: ModuleNotF"),
    ("def score(p, a, r): return [float('nan')] * len(a)", "no finite number, for answer 1 of 2"),
    ("def score(p, a, r): return [1, 'a']", "str where a number belongs, for answer 2 of 2"),
    ("def score(p, a, r): return [1.0]", "1 numbers for 2 answers"),
    ("def score(p, a, r):\n    while True: yield 1", "more than 2 numbers for 2 answers"),
    ("def score(p, a, r): return {}", "0 numbers for 2"), ("def score(p, a, r): pass", "NoneType"),
    ("def score(p): pass", "TypeError"), ("def other(): pass", "no function score("),
    ("import os\nos._exit(3)", "status 3"), ("raise SystemExit", "status 0"),
    ("def score(p, a, r): return [10 ** 400, 1]", "OverflowError"),
    ("def score(p, a, r): return [input(), 1]", "line 1: EOFError"),
    ("import os\nfor n in range(64, 300):\n    try: os.write(n, b'[]\\n{}\\n')\n"
     "    except OSError: pass\ndef score(p, a, r): return [1, 2]", "cannot be read"),
    ("def score(p, a, r):\n    x = 'a' * 2 ** 40", "line 2: MemoryError")])
def test_what_goes_wrong_in_it_is_said(written, body, words):
    with pytest.raises(Failure) as raised:
        scored(written(body), said(("a", "b"), ("c", "d")))
    assert raised.value.code == "metric_function" and words in str(raised.value)
    assert "my_metric.py' failed at rows 1 to 2: " in str(raised.value)


def test_a_function_that_never_ends_is_ended(written):
    path = written("def score(p, a, r):\n    while True: print('x' * 10 ** 6)")
    with pytest.raises(Failure, match="did not finish within 1 s") as raised:
        scored(path, said(("a", "b")), batch_s=1.0)
    assert raised.value.code == "metric_time"


def test_secrets_are_neither_seen_nor_told(written, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_" + "secret" * 4)
    monkeypatch.setenv("MY_PASSWORD", "hush-hush")
    path = written("""
        import os, sys
        def score(prompts, predictions, references):
            print(dict(os.environ), file=sys.stderr)
            found = [k for k, v in os.environ.items() if "hush" in v or "secret" in v]
            raise RuntimeError(f"{found} hf_" + "secret" * 4)
        """)
    with pytest.raises(Failure) as raised:
        scored(path, said(("a", "b")))
    assert "RuntimeError: [] [secret]" in str(raised.value)
