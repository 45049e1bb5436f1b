import json

import pytest

from app.runs import Run, RunState
from app.serving.engines.names import Names
from tests.app.serving.engines.desk import manifest, model_folder, tensors
from trainer.contract.kinds import parse_any
from trainer.contract.places import starter
from trainer.contract.rundir import RunDir
from trainer.engines.errors import EngineError


@pytest.fixture
def names(desk):
    return Names(desk)


def refused(names, name):
    with pytest.raises(EngineError) as error:
        names.resolve(name)
    return error.value


def test_everything_that_can_answer_is_named(desk, names):
    folder = desk.base()
    base = str(folder)
    late = desk.add("late", folder, state=RunState.FAILED, finished=False)
    desk.checkpoint(late, 4)
    (late.checkpoints / "checkpoint-8").mkdir()
    desk.add("judge", folder, config={"objective": "reward"})
    own = model_folder(desk.home.models / "mine")
    found = {one.name: one for one in names.served()}
    assert set(found) == {"starter", base, str(own), "one", "two", "late/checkpoint-4"}
    assert {one.kind for one in found.values()} == {"base", "run", "checkpoint"}
    assert found["late/checkpoint-4"].label == "late, step 4"
    assert found["one"].created == 1 and found["starter"].created > 1
    for name in found:
        assert names.resolve(name).name == name


def export(desk, name, *, merged=False):
    """Write a finished export with one GGUF file."""
    run = RunDir(desk.home.runs / name)
    run.create(parse_any({"kind": "export", "name": name, "source": "one",
                          "formats": ["gguf-q8_0"]}), {"state": "completed"})
    (run.export / "gguf").mkdir(parents=True)
    (run.export / "gguf" / "one-q8_0.gguf").write_bytes(b"GGUF")
    if merged:
        model_folder(run.export / "merged")
        run.weights.write_text("tuner: {type: full}\n")
    desk.known[name] = Run(name, name, RunState.COMPLETED, run.path, objective="export",
                           model="one", created_at=3)
    return run


def test_exports_answer_by_their_files_and_as_models(desk, names):
    file, whole = export(desk, "out"), export(desk, "whole", merged=True)
    found = {one.name: one.kind for one in names.served()}
    assert found["out/one-q8_0.gguf"] == found["whole/one-q8_0.gguf"] == "export"
    assert found["whole"] == "run" and "out" not in found and "one" in found
    target = names.resolve("out/one-q8_0.gguf")
    assert target.model.is_gguf and target.model.folder == file.export / "gguf" / "one-q8_0.gguf"
    assert names.resolve("whole").model.folder == whole.export / "merged"
    assert refused(names, "out").code == "no_weights"
    assert refused(names, "out/other.gguf").code == "unknown_model"
    assert refused(names, "one/one-q8_0.gguf").code == "unknown_model"


def test_a_base_stands_for_its_folder(desk, names):
    target = names.resolve("starter")
    assert target.model.folder == starter() and target.adapter is None
    assert names.resolve(str(desk.base())).model.template == "auto"


@pytest.mark.parametrize("name", ["", "nobody", "/etc", "../one", "one/../two", "one/adapter",
                                  "org/model", "one\0", "x" * 5000, "one/checkpoint-9"])
def test_what_nobody_knows_is_refused(names, name):
    assert refused(names, name).code == "unknown_model"


def test_a_run_is_its_base_and_an_adapter(desk, names):
    one, two = names.resolve("one"), names.resolve("two")
    assert one.model == two.model == names.resolve(str(desk.base())).model
    assert (one.adapter.name, one.adapter.method, one.adapter.rank) == ("one", "LORA", 8)
    checkpoint = desk.checkpoint(RunDir(desk.known["one"].dir), 40)
    target = names.resolve("one/checkpoint-40")
    assert target.adapter.folder == checkpoint and target.adapter.name == "one:checkpoint-40"
    assert target.model == one.model


def test_options_of_the_run_are_those_of_its_engine(desk, names):
    run = desk.add("small", desk.base(), config={
        "model": {"name_or_path": str(desk.base()), "quantization": "nf4", "dtype": "bfloat16"},
        "data": {"template": "chatml"}})
    from trainer.data.templates.library import read_template

    manifest(run, desk.base(), template=read_template("chatml").source)
    target = names.resolve("small")
    assert (target.model.quantization, target.model.dtype) == ("nf4", "bfloat16")
    # The finished adapter brings its template along, a checkpoint does not.
    assert (target.model.template, target.template) == ("auto", "chatml")
    desk.checkpoint(run, 4)
    assert names.resolve("small/checkpoint-4").model.template == "chatml"


def test_single_quantization_makes_another_base_in_four_bits_only(desk, names):
    for run_id, quantization, double in (("both", "nf4", True), ("one-scale", "nf4", False),
                                         ("eight", "int8", False)):
        desk.add(run_id, desk.base(), config={"model": {
            "name_or_path": str(desk.base()), "quantization": quantization,
            "double_quantization": double}})
    found = {run_id: names.resolve(run_id).model.double_quantization
             for run_id in ("both", "one-scale", "eight", "one")}
    assert found == {"both": True, "one-scale": False, "eight": True, "one": True}


def test_a_full_run_is_a_model_of_its_own(desk, names):
    run = desk.add("whole", desk.base(), config={"tuner": {"type": "full"}})
    target = names.resolve("whole")
    assert target.model.folder == run.model and target.adapter is None


def test_a_run_on_a_run_lets_the_engine_merge(desk, names):
    run = desk.add("deeper", "one", finished=False)
    (run.adapter).mkdir()
    for file in RunDir(desk.known["one"].dir).adapter.iterdir():
        (run.adapter / file.name).write_bytes(file.read_bytes())
    manifest(run, desk.base(), [RunDir(desk.known["one"].dir).adapter])
    target = names.resolve("deeper")
    assert target.model.source == "one" and target.model.merged
    assert target.model.folder == desk.base() and target.adapter.name == "deeper"
    tensors(RunDir(desk.known["one"].dir).adapter / "adapter_model.safetensors", 5)
    assert "adapter 1 changed" in str(refused(names, "deeper"))


def test_trained_biases_are_merged(desk, names):
    run = desk.add("biased", desk.base(), config={"tuner": {"type": "lora", "bias": "all"}})
    target = names.resolve("biased")
    assert (target.model.source, target.model.merged, target.adapter) == ("biased", True, None)
    desk.checkpoint(run, 4)
    assert refused(names, "biased/checkpoint-4").code == "adapter_bias"


@pytest.mark.parametrize(("file", "changed"), [
    ("model.safetensors", "model.safetensors"), ("config.json", "config.json"),
    ("chat_template.jinja", "the chat template")])
def test_a_base_that_changed_is_refused(desk, names, file, changed):
    names.resolve("one")
    base = desk.base()
    if file == "model.safetensors":
        tensors(base / file, 3)
    else:
        (base / file).write_text('{"other": 1}')
    error = refused(names, "one")
    assert error.code == "base_changed" and changed in str(error)
    assert names.resolve(str(base)), "the base itself may be asked all the same"


def test_a_base_that_is_gone_is_told(desk, names):
    desk.add("remote", desk.base(), config={"model": {"name_or_path": "some/model"}})
    assert refused(names, "remote").code == "base_not_here"


def test_what_cannot_answer_says_why(desk, names):
    base = desk.base()
    desk.add("judge", base, config={"objective": "reward"})
    desk.add("late", base, state=RunState.RUNNING)
    pissa = desk.add("pissa", base, config={"tuner": {"init_lora_weights": "pissa"}})
    desk.add("first", base, config={"model": {"name_or_path": str(base), "adapters": ["one"]}})
    desk.checkpoint(pissa, 4)
    broken = desk.checkpoint(RunDir(desk.known["one"].dir), 4)
    (broken / "adapter_config.json").write_text("{}")
    for name, code in (("judge", "gives_scores"), ("late", "not_completed"),
                       ("first", "adapters_first"), ("one/checkpoint-4", "bad_checkpoint"),
                       ("pissa/checkpoint-4", "unfinished_form")):
        assert refused(names, name).code == code
    assert names.resolve("pissa").adapter


def test_code_and_pickles_in_a_folder_are_refused_before_an_engine_sees_them(desk, names):
    code, pickled = (desk.home.models / name for name in ("code", "pickled"))
    for folder in (code, pickled):
        model_folder(folder)
    (code / "config.json").write_text(json.dumps({"auto_map": {"AutoModel": "x.Y"}}))
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    assert refused(names, str(code)).code == "remote_code"
    assert refused(names, str(pickled)).code == "weights_pickled"
    adapter = RunDir(desk.known["one"].dir).adapter
    (adapter / "adapter_config.json").write_text('{"auto_map": {"x": "y"}}')
    assert refused(names, "one").code == "remote_code"
