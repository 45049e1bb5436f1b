import pytest

from trainer.contract.redact import HIDDEN, known_secrets, redact

PLANTED = "hf_" + "aB3" * 9


@pytest.mark.parametrize("text", [
    f"token {PLANTED} was used",
    "Authorization: Bearer abcdefgh12345678",
    "HF_TOKEN=supersecretvalue",
    '{"api_key": "supersecretvalue"}',
    "password: supersecretvalue",
    "https://user:supersecretvalue@example.org/x",
    "sk-" + "proj" * 6,
])
def test_secrets_are_hidden(text):
    shown = redact(text)
    assert HIDDEN in shown
    assert not any(word in shown for word in (PLANTED, "supersecretvalue", "abcdefgh12345678",
                                              "projproj"))


@pytest.mark.parametrize("text", [
    "num_tokens: 123456789", "token_accuracy=0.812345678", "tokens_per_s 1234.5",
    "loss 0.1 grad_norm 2.0", "https://example.org/a:b@c", "eos_token: null",
    "task-specific hf_argparser", "the token is wrong",
])
def test_ordinary_lines_stay_as_they_are(text):
    assert redact(text) == text


def test_exact_values_are_hidden_longest_first():
    assert redact("a longersecret b", ["longerse", "longersecret"]) == f"a {HIDDEN} b"


def test_short_values_do_not_garble_the_text():
    assert redact("a cat sat", ["a", "cat"]) == "a cat sat"


def test_secrets_come_from_the_known_variables():
    assert known_secrets({"HF_TOKEN": "x" * 20, "PATH": "/bin", "WANDB_API_KEY": ""}) == ["x" * 20]
