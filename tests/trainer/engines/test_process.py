"""What an engine is started with, and what of its log is shown."""

from trainer.engines.process import LAST_LINES, child_environment, last_lines


def test_a_missing_log_is_empty(tmp_path):
    assert last_lines(tmp_path / "none.log") == ""


def test_the_last_lines_are_plain_and_without_secrets(tmp_path):
    log = tmp_path / "engine.log"
    lines = [f"line {number}" for number in range(30)]
    log.write_text("\n\n".join([*lines, "\x1b[31mRuntimeError\x1b[0m: HF_TOKEN=verysecretvalue"]))
    shown = last_lines(log).splitlines()
    assert len(shown) == LAST_LINES and shown[0] == "line 11"
    assert shown[-1] == "RuntimeError: HF_TOKEN=[secret]"


def test_secrets_of_the_studio_stay_there(monkeypatch):
    monkeypatch.setenv("FINESTRA_TOKEN", "x" * 20)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    made = child_environment({"CUDA_VISIBLE_DEVICES": ""})
    assert not {"FINESTRA_TOKEN", "HF_TOKEN"} & set(made)
    assert made["CUDA_VISIBLE_DEVICES"] == "" and made["PYTHONUNBUFFERED"] == "1"
