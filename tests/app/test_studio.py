import json

import pytest

from app.runs import RunError, RunState
from app.studio import Studio
from tests.app.conftest import until_ended, until_step
from trainer.contract import ConfigError, RunConfig
from trainer.contract.config import parse
from trainer.data import DatasetError
from trainer.data.catalog.adding import plain_name


@pytest.fixture
def studio(home):
    """A studio that starts nothing."""
    opened = Studio.open(home)
    opened.scheduler.tick = lambda: None
    yield opened
    opened.close()


def audit(studio):
    return [json.loads(line) for line in studio.home.audit.read_text().splitlines()]


def test_a_run_is_a_folder_whose_config_reproduces_it(studio):
    run = studio.create({"name": "x", "training": {"seed": 7}})
    assert run.state is RunState.QUEUED and run.dir.name == run.id
    assert studio.dir(run.id).read_config() == RunConfig.model_validate(
        {"name": "x", "training": {"seed": 7}})
    assert studio.dir(run.id).read_state()["state"] == "queued"
    assert "adam_beta2: 0.999" in studio.config_yaml(run.id)
    assert (run.model, run.method, run.objective) == ("starter", "lora", "sft")


def test_a_refused_config_stores_nothing(studio):
    before = studio.watermark()
    with pytest.raises(ConfigError) as refused:
        studio.create({"tuner": {"r": 0}, "data": {"train": ["nope"]}})
    assert len(refused.value.problems) == 2
    assert studio.runs() == [] and list(studio.home.runs.iterdir()) == []
    assert studio.watermark() == before
    assert [(r["action"], r["ok"]) for r in audit(studio)] == [("create", False)]


def test_a_disk_that_fills_while_creating_leaves_nothing(studio, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("trainer.contract.files.os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            studio.create({})
    assert studio.runs() == [] and list(studio.home.runs.iterdir()) == []
    assert studio.create({}).state is RunState.QUEUED


def test_stop_of_a_waiting_run_and_resume(studio):
    run = studio.create({})
    stopped = studio.stop(run.id)
    assert stopped.state is RunState.STOPPED and stopped.ended_at
    with pytest.raises(RunError) as refused:
        studio.stop(run.id)
    assert refused.value.code == "not_active"
    other = studio.create({"name": "other"})
    resumed = studio.resume(run.id)
    assert resumed.state is RunState.QUEUED and resumed.ended_at is None
    assert [r.run.id for r in studio.store.records([RunState.QUEUED])] == [other.id, run.id]
    with pytest.raises(RunError) as refused:
        studio.resume(run.id)
    assert refused.value.code == "not_resumable"


@pytest.mark.faults
def test_an_explicit_checkpoint_must_be_whole(fake_studio, hold, monkeypatch):
    monkeypatch.setenv("FAKE_SAVE_EVERY", "2")
    hold(7)
    run = fake_studio.create({})
    until_step(fake_studio, run.id, 6)
    fake_studio.stop(run.id)
    until_ended(fake_studio, run.id)
    assert [c.step for c in fake_studio.checkpoints(run.id)][-1] == 2
    (run.dir / "checkpoints" / "checkpoint-6" / "trainer_state.json").write_text("{}")
    for name, code in (("checkpoint-6", "bad_checkpoint"), ("checkpoint-99", "unknown_checkpoint"),
                       ("../../x", "unknown_checkpoint")):
        with pytest.raises(RunError) as refused:
            fake_studio.resume(run.id, checkpoint=name)
        assert refused.value.code == code and refused.value.advice
    monkeypatch.delenv("FAKE_HOLD")
    fake_studio.resume(run.id, checkpoint="checkpoint-2")
    ended = until_ended(fake_studio, run.id)
    assert ended.state == "completed"
    steps = [step for step, _ in fake_studio.series(run.id, ["loss"])["loss"]]
    assert steps == list(range(1, 11))


def test_clone_annotate_search(studio):
    run = studio.create({"name": "first", "training": {"seed": 7}})
    values = studio.clone_values(run.id)
    assert values["name"] == "first copy" and parse(values).training.seed == 7
    studio.annotate(run.id, tags=[" b ", "a", "a", ""], notes="remember")
    assert studio.run(run.id).tags == ("a", "b")
    assert studio.dir(run.id).read_state()["notes"] == "remember"
    studio.create({"name": "second"})
    assert [r.name for r in studio.runs()] == ["second", "first"]
    assert [r.name for r in studio.runs(search="REMEM")] == ["first"]
    assert [r.name for r in studio.runs(tag="a")] == ["first"]
    assert studio.runs(state="completed") == []
    assert [r["action"] for r in audit(studio)] == ["create", "annotate", "create"]


@pytest.mark.parametrize("call", ["run", "stop", "resume", "delete", "config_yaml", "series",
                                  "log_tail", "samples", "checkpoints", "clone_values"])
def test_unknown_runs_are_told_as_such(studio, call):
    if call == "samples":
        assert studio.samples("nope") == []
        return
    with pytest.raises(RunError) as unknown:
        getattr(studio, call)("nope")
    assert unknown.value.code == "unknown_run"


def test_logs_are_text_without_secrets(studio, monkeypatch):
    monkeypatch.setenv("SWANLAB_API_KEY", "planted-key-0123456789")
    run = studio.create({})
    assert studio.log_tail(run.id) == ""
    attempt = studio.dir(run.id).new_attempt()
    attempt.log.write_bytes(b"\x1b[1mone\x1b[0m\ntwo planted-key-0123456789\n<script>\n")
    assert studio.log_tail(run.id) == "one\ntwo [secret]\n<script>\n"
    assert studio.log_tail(run.id, search="TWO") == "two [secret]"
    assert studio.log_tail(run.id, attempt=9) == ""


def test_what_there_is_to_choose_from(studio, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    snapshot = tmp_path / "hf" / "hub" / "models--a--b" / "snapshots" / "c0ffee"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    own = studio.home.models / "mine"
    own.mkdir()
    (own / "config.json").write_text("{}")
    assert studio.models() == ["starter", str(own), "a/b"]
    kinds = {c.name: (c.kind, c.objectives) for c in studio.datasets()}
    assert kinds["sample_instructions"] == (
        "alpaca", ("sft", "grpo", "rloo", "distillation", "gkd"))
    assert kinds["sample_preferences"] == (
        "preference", ("dpo", "orpo", "simpo", "cpo", "kto", "reward"))


def test_an_added_file_is_copied_and_can_be_trained_on(studio, tmp_path):
    path = tmp_path / "my data.jsonl"
    path.write_text('{"question": "q", "answer": "a"}\n' * 3)
    assert studio.changes.add_file(path, "mine") == "mine"
    path.unlink()
    assert not studio.dry_run({"data": {"train": ["mine"]}}, origin="web").problems
    (choice,) = [c for c in studio.datasets() if c.name == "mine"]
    assert (choice.rows, choice.kind, choice.origin) == (3, "question_answer", "user")


def test_a_run_that_others_stand_on_stays(studio):
    base, upon = studio.create({"name": "base"}), studio.create({"name": "upon"})
    for run in (base, upon):
        studio.stop(run.id)
    with studio.store.write() as writer:
        writer.update(upon.id, model=base.id)
    with pytest.raises(RunError, match=upon.id) as refused:
        studio.delete(base.id)
    assert refused.value.code == "needed" and studio.dir(base.id).config.is_file()
    studio.delete(upon.id)
    studio.delete(base.id)
    assert studio.runs() == []


@pytest.mark.parametrize(("file_name", "name"), [
    ("my data (1).jsonl", "my-data-1"), ("问题 集.csv.gz", "问题-集"), ("v1.2_a.JSON", "v1.2_a"),
    ("(*).txt", "data"), ("x" * 90 + ".md", "x" * 48), ("..tsv", "data"), ("１.jsonl", "1")])
def test_any_file_name_gives_a_plain_dataset_name(file_name, name):
    assert plain_name(file_name) == name


def test_a_file_may_be_added_again_under_the_next_name(studio, tmp_path):
    path = tmp_path / "问题 (1).jsonl"
    path.write_text('{"question": "q", "answer": "a"}\n')
    names = [studio.changes.add_file(path, path.name, rename=True) for _ in range(3)]
    assert names == ["问题-1", "问题-1-2", "问题-1-3"]
    assert not studio.dry_run({"data": {"train": names}}, origin="web").problems


@pytest.mark.parametrize(("name", "content"), [
    ("x.jsonl", ""), ("x.jsonl", '{"foo": 1}\n'), ("x.exe", "MZ"), ("x.jsonl", "<html>")])
def test_a_file_that_is_no_dataset_leaves_nothing(studio, tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(DatasetError):
        studio.changes.add_file(path, "bad")
    assert list(studio.home.data.iterdir()) == []


def test_a_taken_name_keeps_the_first_file(studio, tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"question": "q", "answer": "a"}\n')
    studio.changes.add_file(path, "mine")
    before = sorted(p.name for p in studio.home.data.glob("*.jsonl"))
    with pytest.raises(DatasetError):
        studio.changes.add_file(path, "mine")
    assert sorted(p.name for p in studio.home.data.glob("*.jsonl")) == before
    assert [r["ok"] for r in audit(studio)] == [True, False]
