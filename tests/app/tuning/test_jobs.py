"""/v1/fine_tuning/jobs: a job is a run, from its file to the model that answers."""

import json
from dataclasses import replace

import httpx
import openai
import pytest
from safetensors.numpy import save_file

from app.runs import Progress, RunState
from app.tuning.job import trained_tokens
from tests.app.tuning.conftest import CHAT, PAIRS, PROMPTS
from trainer.contract import events as ev

ANSWER = "{{sample.output_text}}"
GRADER = {"type": "string_check", "name": "right", "operation": "eq", "input": ANSWER,
          "reference": "{{item.gold.answer}}"}


def reinforcement(**grader):
    return {"type": "reinforcement", "reinforcement": {"grader": {**GRADER, **grader}}}


def run_of(studio, job):
    return studio.run(job.id.removeprefix("ftjob-"))


def config_of(studio, job):
    return studio.dir(run_of(studio, job).id).read_config()


def refused(client, **values):
    with pytest.raises(openai.BadRequestError) as told:
        client.train(**values)
    return told.value


def adapter(folder):
    """Write an adapter of rank 1 for the starter as PEFT does."""
    (folder / "adapter_config.json").write_text(json.dumps(
        {"peft_type": "LORA", "r": 1, "lora_alpha": 1, "target_modules": ["q_proj"],
         "task_type": "CAUSAL_LM", "base_model_name_or_path": "starter"}))
    save_file({}, folder / "adapter_model.safetensors")


@pytest.fixture(scope="module")
def chats(client):
    return client.send(CHAT).id


@pytest.fixture(scope="module")
def done(client, chats):
    """A job that has succeeded."""
    job = client.train(training_file=chats, suffix="adds one", metadata={"team": "sums"})
    return client.until(job.id, "succeeded")


@pytest.fixture
def held(client, chats, tmp_path, monkeypatch):
    """A job whose trainer waits at its third step."""
    monkeypatch.setenv("FAKE_HOLD", f"3:{tmp_path / 'gate'}")
    job = client.train(training_file=chats)
    yield client.until(job.id, "running")
    (tmp_path / "gate").touch()
    client.until(job.id)


def test_a_job_is_a_run_whose_model_is_listed(client, studio, done, chats):
    run = run_of(studio, done)
    assert (run.state, run.name, run.objective) == (RunState.COMPLETED, "adds one", "sft")
    assert done.fine_tuned_model == run.id
    assert done.training_file == chats
    assert (done.model, done.seed, done.metadata) == ("starter", 42, {"team": "sums"})
    assert (done.method.type, done.hyperparameters.n_epochs) == ("supervised", "auto")
    assert done.created_at <= done.finished_at
    assert done.error is None
    assert done.fine_tuned_model in [one.id for one in client.models.list()]


def test_numbers_reach_the_config(client, studio, chats):
    held_out = client.send(CHAT[:3]).id
    job = client.train(training_file=chats, validation_file=held_out, seed=7, method={
        "type": "supervised", "supervised": {"hyperparameters": {
            "n_epochs": 2, "batch_size": 4, "learning_rate_multiplier": 0.5}}})
    training = config_of(studio, job).training
    assert (training.num_train_epochs, training.per_device_train_batch_size, training.seed) == (
        2, 4, 7)
    assert training.learning_rate == pytest.approx(1e-4)
    assert (job.hyperparameters.n_epochs, job.hyperparameters.batch_size) == (2, 4)
    assert job.validation_file == held_out
    client.until(job.id, "succeeded")


def test_numbers_in_their_old_place_count(client, studio, chats):
    job = client.train(training_file=chats, hyperparameters={"n_epochs": 5})
    assert config_of(studio, job).training.num_train_epochs == 5
    client.until(job.id)


def test_preferences_become_pairs(client, studio):
    sent = client.send(PAIRS)
    job = client.train(training_file=sent.id, method={
        "type": "dpo", "dpo": {"hyperparameters": {"beta": 0.3}}})
    config = config_of(studio, job)
    assert (config.objective, config.dpo.beta) == ("dpo", 0.3)
    with open(config.data.names("train")[0], encoding="utf-8") as file:
        first = json.loads(file.readline())
    assert first["prompt"] == PAIRS[0]["input"]["messages"]
    assert first["chosen"] == PAIRS[0]["preferred_output"]
    assert first["rejected"] == PAIRS[0]["non_preferred_output"]
    assert client.until(job.id).method.dpo.hyperparameters.beta == 0.3
    assert job.training_file == sent.id


def test_a_grader_of_the_rows_becomes_an_exact_answer(client, studio):
    job = client.train(training_file=client.send(PROMPTS).id, method=reinforcement())
    config = config_of(studio, job)
    assert config.objective == "grpo"
    assert [use.name for use in config.rollout.rewards] == ["exact_answer"]
    with open(config.data.names("train")[0], encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    assert [row["reference"] for row in rows] == [str(n + 2) for n in range(12)]
    assert client.until(job.id, "succeeded").method.reinforcement.grader.reference \
        == GRADER["reference"]


def test_a_grader_with_one_text_becomes_a_pattern(client, studio):
    job = client.train(training_file=client.send(PROMPTS).id,
                       method=reinforcement(operation="ilike", reference="1+1"))
    assert config_of(studio, job).rollout.rewards[0].pattern == r"(?i)1\+1"
    client.until(job.id, "succeeded")


@pytest.mark.parametrize(("grader", "said"), [
    ({"type": "text_similarity"}, "similarity is not measured"),
    ({"type": "python", "source": "def grade(a, b): return 1"}, "consent"),
    ({"type": "score_model"}, "judges"),
    ({"type": "magic"}, "unknown"),
    ({"input": "{{item.gold.answer}}"}, "whole answers"),
    ({"operation": "like"}, "by 'eq' only"),
    ({"operation": "roughly", "reference": "a"}, "no operation"),
    ({"reference": ""}, "needs a reference"),
    ({"reference": "{{item.missing}}"}, "Row 1 of train.jsonl has no text or number in 'missing'"),
])
def test_graders_that_cannot_be_computed_are_refused(client, grader, said):
    error = refused(client, training_file=client.send(PROMPTS).id, method=reinforcement(**grader))
    assert said in error.message


def test_a_model_that_is_not_here_is_404(client, chats):
    for model in ("gpt-4o-mini", "/etc", "nobody/nothing"):
        with pytest.raises(openai.NotFoundError) as told:
            client.train(training_file=chats, model=model)
        assert (told.value.code, told.value.param) == ("model_not_found", "model")


def test_a_job_goes_on_from_another(client, studio, done, chats):
    """The fake leaves an empty folder as its adapter, which is no base yet."""
    assert "no finished model" in str(refused(client, training_file=chats,
                                              model=done.fine_tuned_model))
    adapter(studio.dir(done.fine_tuned_model).adapter)
    job = client.train(training_file=chats, model=done.fine_tuned_model)
    assert client.until(job.id, "succeeded").model == done.fine_tuned_model


@pytest.mark.parametrize(("values", "param"), [
    ({"training_file": "file-000000000000000000000000"}, "training_file"),
    ({"validation_file": "file-x"}, "validation_file"),
    ({"method": {"type": "dpo"}}, "training_file"),
    ({"method": {"type": "magic"}}, "method.type"),
    ({"seed": -1}, "seed"),
    ({"suffix": "a/b"}, "suffix"),
    ({"suffix": "x" * 65}, "suffix"),
    ({"hyperparameters": {"n_epochs": 0}}, "hyperparameters.n_epochs"),
    ({"hyperparameters": {"beta": 0.5}}, "hyperparameters.beta"),
    ({"integrations": [{"type": "wandb"}]}, "integrations"),
    ({"hyperparameters": {"batch_size": True}}, "hyperparameters.batch_size"),
    ({"seed": "7"}, "seed"),
    ({"method": {"type": "supervised", "dpo": {"hyperparameters": {"beta": 1}}}}, "method.dpo"),
    ({"extra_body": {"output_dir": "/tmp"}}, "output_dir"),
    ({"method": {"type": "reinforcement"}}, "method.reinforcement.grader"),
])
def test_what_is_wrong_is_named(client, chats, values, param):
    error = refused(client, **{"training_file": chats, **values})
    assert error.param == param
    assert error.code


def test_a_body_that_is_no_object_is_refused(live):
    answer = httpx.post(f"{live.address}/v1/fine_tuning/jobs", json=[], trust_env=False)
    assert (answer.status_code, answer.json()["error"]["message"]) == (
        400, "The body is not a JSON object.")


def test_files_are_named_by_their_ids_and_not_by_their_paths(client, chats):
    error = refused(client, training_file=chats, validation_file=chats)
    assert f"'{chats}' is both" in str(error)
    assert "/openai/" not in str(error)


def test_cancelling_twice_is_as_once(client, studio, held):
    client.fine_tuning.jobs.cancel(held.id)
    assert client.until(held.id).status == "cancelled"
    assert client.fine_tuning.jobs.cancel(held.id).status == "cancelled"
    assert run_of(studio, held).state is RunState.STOPPED
    log = [json.loads(line) for line in studio.home.audit.read_text().splitlines()]
    mine = [one["action"] for one in log if one["run"] == run_of(studio, held).id]
    assert mine == ["create", "stop"]


def test_what_has_succeeded_cannot_be_cancelled(client, done):
    with pytest.raises(openai.BadRequestError, match="completed already"):
        client.fine_tuning.jobs.cancel(done.id)


def test_a_file_in_use_stays_until_the_job_ends(client, held, tmp_path):
    with pytest.raises(openai.ConflictError, match=held.id):
        client.files.delete(held.training_file)
    assert client.files.retrieve(held.training_file)


def test_a_job_outlives_its_file(client):
    sent = client.send(CHAT)
    job = client.train(training_file=sent.id)
    client.until(job.id, "succeeded")
    client.files.delete(sent.id)
    assert client.fine_tuning.jobs.retrieve(job.id).training_file == sent.id
    assert "There is no file" in refused(client, training_file=sent.id).message


def test_a_failure_says_why(client, chats, monkeypatch):
    monkeypatch.setenv("FAKE_OOM_AT", "4")
    job = client.until(client.train(training_file=chats).id, "failed")
    assert job.error.code == "cuda_oom"
    assert "Use a smaller batch." in job.error.message
    assert job.fine_tuned_model is None
    last = client.fine_tuning.jobs.list_events(job.id, limit=1).data[0]
    assert (last.level, last.data) == ("error", {"code": "cuda_oom"})


def test_events_come_newest_first_page_by_page(client, done):
    first = client.fine_tuning.jobs.list_events(done.id, limit=4)
    assert len(first.data) == 4
    assert first.has_more
    paged = list(client.fine_tuning.jobs.list_events(done.id, limit=4))
    whole = client.fine_tuning.jobs.list_events(done.id, limit=100)
    assert [one.id for one in paged] == [one.id for one in whole.data]
    assert not whole.has_more
    assert whole.data[-1].message == f"Created fine-tuning job: {done.id}"
    measured = [one for one in whole.data if one.type == "metrics"]
    assert [one.data["step"] for one in measured] == list(range(10, 0, -1))
    assert measured[-1].data["train_loss"] == 1.0
    with pytest.raises(openai.BadRequestError):
        client.fine_tuning.jobs.list_events(done.id, after="ftevent-other-1-1")


def test_checkpoints_have_the_measures_of_their_step(client, done):
    found = list(client.fine_tuning.jobs.checkpoints.list(done.id))
    assert [one.step_number for one in found] == [10, 5]
    run_id = done.fine_tuned_model
    assert found[1].fine_tuned_model_checkpoint == f"{run_id}/checkpoint-5"
    assert found[1].metrics.train_loss == pytest.approx(2 / 6, abs=1e-5)
    assert found[1].fine_tuning_job_id == done.id
    assert {one.fine_tuned_model_checkpoint for one in found} <= {
        one.id for one in client.models.list()}
    page = client.fine_tuning.jobs.checkpoints.list(done.id, limit=1, after=found[0].id)
    assert [one.id for one in page.data] == [found[1].id]


def test_only_jobs_are_listed_and_found(client, studio, done, chats):
    other = studio.create({"name": "by hand", "model": {"name_or_path": "starter"},
                           "training": {"max_steps": 1, "device": "cpu"}})
    newest = client.train(training_file=chats)
    listed = client.fine_tuning.jobs.list(limit=1)
    assert [one.id for one in listed.data] == [newest.id]
    assert listed.has_more
    every = [one.id for one in client.fine_tuning.jobs.list(limit=3)]
    assert done.id in every
    assert f"ftjob-{other.id}" not in every
    mine = client.fine_tuning.jobs.list(metadata={"team": "sums"}).data
    assert [one.id for one in mine] == [done.id]
    for job_id in (f"ftjob-{other.id}", other.id, "ftjob-..", "ftjob-nothing"):
        with pytest.raises(openai.NotFoundError):
            client.fine_tuning.jobs.retrieve(job_id)
    client.until(newest.id)


def test_the_same_key_makes_one_job(client, chats):
    headers = {"Idempotency-Key": "once"}
    first, second = (client.train(training_file=chats, extra_headers=headers) for _ in range(2))
    assert first.id == second.id
    client.until(first.id)


def test_trained_tokens_are_counted_by_epochs_and_share(studio, done):
    run, config = run_of(studio, done), config_of(studio, done)
    data = [ev.DataEvent(split="train", rows=9, used=9, trained_tokens=100)]
    assert trained_tokens(run, config, data) == 300
    half = replace(run, progress=Progress(step=5, total_steps=10))
    assert trained_tokens(half, config, data) == 150
    assert trained_tokens(run, config, []) is None
    assert trained_tokens(replace(run, state=RunState.RUNNING), config, data) is None


def test_a_job_is_known_without_what_lies_beside_it(client, studio, chats):
    """A crash between run and note, or a restored folder, loses metadata and nothing else."""
    job = client.until(client.train(training_file=chats, metadata={"a": "b"}).id)
    (run_of(studio, job).dir / "openai.json").unlink()
    found = client.fine_tuning.jobs.retrieve(job.id)
    assert (found.status, found.training_file, found.metadata) == ("succeeded", chats, None)
