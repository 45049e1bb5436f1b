import importlib.util
import json

import pytest

from app.devices import Device, DeviceProbe
from app.home import Home
from app.preflight import Preflight
from trainer.contract.hubcache import cached_snapshot

GPU = Device("GPU-1", "Old", 8000, 7000, capability=(7, 5))


@pytest.fixture
def place(tmp_path):
    return Home.open(tmp_path / "home")


@pytest.fixture
def make(place):
    """Make preflights; the children that they ask are ended afterwards."""
    made = []

    def one(devices=list, **options):
        made.append(Preflight(place, DeviceProbe(devices), **options))
        return made[-1]

    yield one
    for preflight in made:
        preflight.data.close()


@pytest.fixture
def preflight(make, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return make()


def codes(found):
    return {(p.field, p.code) for p in found.problems}


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_the_defaults_are_ready_to_start(preflight):
    found = preflight.check({})
    assert found.problems == [] and found.estimate.steps == 189 and found.estimate.fits
    chosen = {choice.field: choice for choice in found.choices}
    assert chosen["model.dtype"].value == "float32" and "no GPU" in chosen["training.device"].reason
    assert json.dumps(found.document(), allow_nan=False)


@pytest.mark.parametrize(("values", "field", "code"), [
    ({"data": {"train": ["no_such_set"]}}, "data.train", "unknown_dataset"),
    ({"data": {"train": ["/no/such.jsonl"]}}, "data.train", "missing_file"),
    ({"data": {"eval": ["no_such_set"]}}, "data.eval", "unknown_dataset"),
    ({"data": {"train": ["sample_kto"]}}, "data.train", "kto_for_sft"),
    ({"data": {"train": ["sample_preferences"]}}, "data.train", "preference_for_sft"),
    ({"objective": "dpo"}, "data.train", "alpaca_for_dpo"),
    ({"model": {"name_or_path": "/no/model"}}, "model.name_or_path", "model_missing"),
    ({"model": {"name_or_path": "x/" + "y" * 4000}}, "model.name_or_path", "name_too_long"),
    ({"training": {"device": "GPU-gone"}}, "training.device", "unknown_device"),
    ({"model": {"dtype": "float16"}}, "model.dtype", "dtype_unusable"),
    ({"model": {"name_or_path": "startr"}}, "model.name_or_path", "model_misspelt"),
    ({"model": {"attn_implementation": "flash_attention_2"}}, "model.attn_implementation",
     "no_flash_attention"),
    ({"model": {"attn_implementation": "flex_attention"}}, "model.attn_implementation",
     "flex_attention_cpu"),
    ({"data": {"val_size": 5000}}, "data.val_size", "split_takes_all"),
    ({"data": {"val_size": 0.9999}}, "data.val_size", "split_takes_all"),
    ({"tracking": {"backend": "swanlab", "mode": "local"}}, "tracking.mode", "tracker_missing"),
    ({"tuner": {"target_modules": ["nope"]}}, "tuner.target_modules", "no_target"),
    ({"tracking": {"backend": "swanlab", "mode": "cloud"}}, "tracking.mode", "tracker_key"),
])
def test_each_problem_stands_at_its_field(preflight, monkeypatch, values, field, code):
    monkeypatch.delenv("SWANLAB_API_KEY", raising=False)
    found = preflight.check(values)
    assert (field, code) in codes(found)
    assert all(problem.message and problem.advice for problem in found.problems)
    assert not any(problem.advice in problem.message for problem in found.problems)


def test_wrong_values_missing_data_and_missing_models_are_told_at_once(preflight):
    found = preflight.check({"tuner": {"r": 0}, "training": {"learning_rate": "abc"}, "x": 1,
                             "data": {"train": ["nope"]}, "model": {"name_or_path": "/nope"}})
    assert {field for field, _ in codes(found)} == {
        "tuner.r", "training.learning_rate", "x", "data.train", "model.name_or_path"}
    assert found.config is None


def test_bad_rows_are_named_and_refused_or_skipped(preflight, tmp_path):
    path = write(tmp_path / "d.jsonl", {"question": "q", "answer": "a"}, {"question": "q"},
                 {"question": "q2", "answer": "b"})
    refused = preflight.check({"data": {"train": [path]}})
    assert codes(refused) == {("data.train", "bad_rows")}
    assert "Row 2" in refused.problems[0].message
    skipped = preflight.check({"data": {"train": [path], "bad_rows": "skip"}})
    assert not skipped.problems and "1 rows are skipped" in str(skipped.choices)


@pytest.mark.parametrize("text", ["", "not json\n", '{"a": 1}\n'])
def test_files_that_are_no_data(preflight, tmp_path, text):
    path = tmp_path / "d.jsonl"
    path.write_text(text)
    found = preflight.check({"data": {"train": [str(path)]}})
    assert [p.field for p in found.problems] == ["data.train"]


def test_relative_paths_become_absolute(preflight, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "d.jsonl", {"question": "q", "answer": "a"})
    found = preflight.check({"data": {"train": ["d.jsonl"]}})
    assert found.config.data.train == [path] and not found.problems


def test_r5_pages_name_only_what_lies_under_the_roots(make, preflight, place, tmp_path):
    outside = write(tmp_path / "d.jsonl", {"question": "q", "answer": "a"})
    inside = write(place.data / "d.jsonl", {"question": "q", "answer": "a"})
    link = place.data / "link.jsonl"
    link.symlink_to(outside)
    sibling = place.root / "data_evil"
    sibling.mkdir()
    evil = write(sibling / "d.jsonl", {"question": "q", "answer": "a"})
    for path in (outside, str(link), evil, "/etc/passwd", f"{place.data}/../../d.jsonl",
                 "~/x.jsonl", "../d.jsonl", "..\\d.jsonl", "/no/such"):
        found = preflight.check({"data": {"train": [path]}}, origin="web")
        assert ("data.train", "path_outside_roots") in codes(found), path
    for name in ("/etc", str(tmp_path), "../x", "~"):
        found = preflight.check({"model": {"name_or_path": name}}, origin="web")
        assert codes(found) == {("model.name_or_path", "path_outside_roots")}, name
    assert not preflight.check({"data": {"train": [inside]}}, origin="web").problems
    assert not preflight.check({}, origin="web").problems
    more = make(data_roots=[tmp_path])
    assert not more.check({"data": {"train": [outside]}}, origin="web").problems


def test_a_hub_model_is_a_choice_with_a_network_and_a_problem_without(preflight, monkeypatch,
                                                                     tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    values = {"model": {"name_or_path": "some/model"}}
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    online = preflight.check(values)
    assert not online.problems and online.estimate is None
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (problem,) = preflight.check(values).problems
    assert (problem.code, problem.scope) == ("hub_offline", "network")


def test_what_an_old_gpu_can(make):
    preflight = make(lambda: [GPU])
    found = preflight.check({})
    assert {c.field: c.value for c in found.choices}["model.dtype"] == "float16"
    (problem,) = preflight.check({"model": {"dtype": "bfloat16"}}).problems
    assert (problem.field, problem.scope) == ("model.dtype", "machine")


def test_a_tracker_that_is_not_installed(preflight, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (problem,) = preflight.check({"tracking": {"backend": "swanlab"}}).problems
    assert (problem.code, problem.scope) == ("tracker_missing", "machine")


def test_too_little_disk(preflight, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("U", (), {"free": 1000})())
    (problem,) = preflight.check({}).problems
    assert (problem.code, problem.scope) == ("disk_space", "machine")


def test_a_broken_registry_is_a_problem_not_a_crash(preflight, place):
    (place.data / "dataset_info.json").write_text("{")
    assert codes(preflight.check({})) == {("data.train", "registry_broken")}


@pytest.mark.parametrize("revision", ["/etc", "../../outside", "a/../../b", "a//b", ".hidden"])
def test_a_revision_is_no_path(preflight, revision):
    found = preflight.check({"model": {"name_or_path": "a/b", "revision": revision}}, origin="web")
    assert ("model.revision", "revision_name") in codes(found) and found.estimate is None


def test_a_cached_revision_stays_in_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    folder = tmp_path / "hub" / "models--a--b"
    for place in (folder / "snapshots" / "c0ffee", tmp_path / "outside"):
        place.mkdir(parents=True)
        (place / "config.json").write_text("{}")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("c0ffee\n")
    (folder / "refs" / "evil").write_text("../../../outside")
    assert cached_snapshot("a/b", None) == folder / "snapshots" / "c0ffee"
    for revision in ("evil", str(tmp_path / "outside"), "../../../outside"):
        assert cached_snapshot("a/b", revision) is None


@pytest.mark.faults
def test_a_long_file_is_read_in_a_child_and_never_holds_up_the_form(preflight, place, monkeypatch):
    monkeypatch.setattr("app.dataread.SMALL_BYTES", 10)
    path = write(place.data / "long.jsonl", *({"question": f"q{n}", "answer": f"a{n}"}
                                              for n in range(50)))
    config = {"data": {"train": [path]}}
    (problem,) = preflight.check(config, origin="web").problems
    assert (problem.field, problem.code, problem.scope) == ("data.train", "still_reading",
                                                            "machine")
    (job,) = preflight.data.jobs.of(path)
    assert preflight.data.jobs.wait(job.id, 60).state == "done"
    found = preflight.check(config, origin="web")
    assert not found.problems and found.estimate.steps
    assert len(preflight.data.jobs.of(path)) == 1


@pytest.mark.faults
def test_the_command_line_waits_for_a_long_file(preflight, place, monkeypatch):
    monkeypatch.setattr("app.dataread.SMALL_BYTES", 10)
    path = write(place.data / "long.jsonl", {"question": "q", "answer": "a"})
    assert not preflight.check({"data": {"train": [path]}}).problems


def test_the_template_is_told_and_one_that_fails_is_a_problem(preflight):
    chosen = {c.field: c for c in preflight.check({}).choices}
    assert chosen["data.template"].value == "auto" and chosen["data.template"].reason
    named = {c.field: c for c in preflight.check({"data": {"template": "chatml"}}).choices}
    assert named["data.template"].value == "chatml"
    (problem,) = preflight.check({"data": {"template": "no-such"}}).problems
    assert problem.field == "data.template" and problem.message and problem.advice


def test_evaluation_rows_that_are_trained_on_are_told(preflight, place):
    rows = [{"question": f"q{n}", "answer": f"a{n}"} for n in range(20)]
    train = write(place.data / "train.jsonl", *rows)
    held = write(place.data / "held.jsonl", *rows[15:], {"question": "new", "answer": "new"})
    found = preflight.check({"data": {"train": [train], "eval": [held]}})
    assert not found.problems
    assert any(c.field == "data.eval" and c.reason.startswith("5 of its rows")
               for c in found.choices)


def test_the_steps_of_a_mixture_follow_its_weights(preflight, place):
    names = [write(place.data / f"{name}.jsonl", *({"question": f"{name} {n}", "answer": f"{n}"}
                                                   for n in range(count)))
             for name, count in (("a", 80), ("b", 40))]
    first, second = {"name": names[0], "weight": 2.0}, {"name": names[1], "max_samples": 8}

    def steps(**data):
        values = {"data": data, "training": {"num_train_epochs": 1}}
        return preflight.check(values).estimate.steps

    assert steps(train=names) == 15
    assert steps(train=[first, names[1]]) == (160 + 40) // 8
    assert steps(train=[first, second]) == (160 + 8) // 8
    assert steps(train=[first, names[1]], val_size=0.5) == (80 + 20) // 8 + 1
    assert steps(train=names, mix_strategy="interleave_under") == (40 + 40) // 8
    assert steps(train=names, mix_strategy="interleave_over") == (80 + 80) // 8


def test_how_many_answers_are_scored_is_told_before(preflight, place, monkeypatch):
    held = write(place.data / "held.jsonl", *({"question": f"q{n}", "answer": "a"}
                                              for n in range(30)))

    def told(evaluation, **training):
        found = preflight.check({
            "data": {"eval": [held]}, "training": {"max_steps": 100, **training},
            "evaluation": {"metrics": ["chrf"], **evaluation}})
        assert not found.problems
        return [(c.value, c.reason) for c in found.choices if c.field == "evaluation.metrics"]

    assert told({}, eval_steps=30) == [("150 answers", "30 rows before training and 4 times while "
                                        "training, up to 32 tokens each")]
    limited = {"limit": 8, "generate_steps": 50, "max_new_tokens": 9}
    assert told(limited, eval_steps=25) == [("24 answers", "8 rows before training and 2 times "
                                             "while training, up to 9 tokens each")]
    assert told({}, eval_steps=None)[0][0] == "60 answers"
    assert told({"metrics": []}) == []
    split = preflight.check({"data": {"val_size": 0.1}, "evaluation": {"metrics": ["json"]},
                             "training": {"max_steps": 10, "eval_steps": 10}})
    rows = preflight.data.report("sample_instructions")[0].rows
    assert [c.value for c in split.choices if c.field == "evaluation.metrics"] == [
        f"{2 * round(rows / 10):,} answers"]
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec",
                        lambda name, *rest: None if name == "sacrebleu" else find(name, *rest))
    lacking = preflight.check({"data": {"eval": [held]}, "evaluation": {"metrics": ["chrf"]}})
    assert codes(lacking) == {("evaluation.metrics", "package_missing")}


def test_data_of_a_hub(preflight, monkeypatch):
    config = {"data": {"train": ["somebody/something"]}}
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    found = preflight.check(config, origin="web")
    assert not found.problems
    assert ("data.train", "somebody/something") in {(c.field, c.value) for c in found.choices}
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (problem,) = preflight.check(config, origin="web").problems
    assert (problem.code, problem.scope) == ("data_offline", "network")
