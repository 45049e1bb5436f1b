"""The deployment folder: valid compose, the trained template, versions pinned, no secret."""

from __future__ import annotations

import json
import re
import shutil

import pytest
import yaml

from tests.trainer.export.conftest import change
from trainer.contract.models import ModelError
from trainer.contract.places import starter
from trainer.data.templates.chat import ChatTemplate
from trainer.export.deploy import TAGS, write_deployment
from trainer.export.errors import ExportError


@pytest.fixture
def model(tmp_path):
    return shutil.copytree(starter(), tmp_path / "model")


def services(folder):
    return yaml.safe_load((folder / "compose.yaml").read_text(encoding="utf-8"))["services"]


def test_each_server_gets_model_template_and_length(model, tmp_path):
    folder = write_deployment(model, tmp_path / "serve", name="support-bot")
    found = services(folder)
    assert list(found) == ["vllm", "sglang", "tgi"]
    for name, service in found.items():
        command = service["command"]
        assert service["profiles"] == [name] and "/model" in command and "2048" in command
        assert service["ports"] == ["127.0.0.1:${PORT}:8000"]
        assert all(volume.endswith(":ro") for volume in service["volumes"])
    for name in ("vllm", "sglang"):
        command = found[name]["command"]
        assert command[command.index("--chat-template") + 1] == "/templates/chat_template.jinja"
        assert command[command.index("--served-model-name") + 1] == "support-bot"
    assert found["vllm"]["entrypoint"] == ["vllm", "serve"]
    assert "entrypoint" not in found["tgi"]
    source = (folder / "templates" / "chat_template.jinja").read_text()
    assert "generation -%}" not in source
    tgi = json.loads((folder / "templates" / "tokenizer_config.json").read_text())
    assert tgi["chat_template"] == source and tgi["eos_token"] == "<|im_end|>"
    ask = [{"role": "user", "content": "Hi"}]
    assert (ChatTemplate(source).render(ask, add_generation_prompt=True).text
            == ChatTemplate.from_folder(model).render(ask, add_generation_prompt=True).text)


def test_every_variable_is_in_env_or_asked_for_and_versions_are_pinned(model, tmp_path):
    folder = write_deployment(model, tmp_path / "serve", name="m")
    text = (folder / "compose.yaml").read_text()
    env = dict(line.split("=", 1) for line in (folder / ".env").read_text().splitlines())
    asked = set(re.findall(r"\$\{(\w+)\}", text))
    assert asked == set(env) == {"MODEL_DIR", "PORT", "TGI_IMAGE", *TAGS}
    assert set(re.findall(r"\$\{(\w+):\?", text)) == {"API_KEY"}
    assert text.count("${API_KEY:?") == 3 and "API_KEY" not in env
    assert all(re.fullmatch(r"v?\d+\.\d+\.\d+", tag) for tag in TAGS.values())
    assert tuple(map(int, TAGS["VLLM_TAG"][1:].split("."))) >= (0, 32, 0)
    assert ":latest" not in text


def test_the_readme_names_every_stop_word(model, tmp_path):
    folder = write_deployment(model, tmp_path / "serve", name="m", stop=["it's \"over\""],
                              max_length=512)
    text = (folder / "README.md").read_text()
    for stop in ('"<|im_end|>"', '"<|endoftext|>"', '"it\'s \\"over\\""'):
        assert f"    {stop}" in text
    quoted = re.search(r"-d '(.*)'$", text, re.M)[1].replace("'\\''", "'")
    assert json.loads(quoted)["stop"] == ["<|im_end|>", "<|endoftext|>", 'it\'s "over"']
    assert "512" in services(folder)["vllm"]["command"]


def test_a_model_without_a_template_is_served_without_one(model, tmp_path):
    (model / "chat_template.jinja").unlink()
    folder = write_deployment(model, tmp_path / "serve", name="m")
    assert "--chat-template" not in services(folder)["vllm"]["command"]
    assert not (folder / "templates" / "chat_template.jinja").exists()


@pytest.mark.parametrize("name", ["a b", "../x", "x;rm", "$(id)", "", "n\nx"])
def test_a_name_is_a_plain_one(model, tmp_path, name):
    with pytest.raises(ExportError, match="plain name"):
        write_deployment(model, tmp_path / "serve", name=name)


def test_a_folder_that_is_there_stays(model, tmp_path):
    (tmp_path / "serve").mkdir()
    with pytest.raises(ExportError) as caught:
        write_deployment(model, tmp_path / "serve", name="m")
    assert caught.value.code == "target_exists" and not list((tmp_path / "serve").iterdir())


def test_a_failure_leaves_nothing(model, tmp_path, monkeypatch):
    def fail(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("trainer.export.report.os.replace", fail)
    with pytest.raises(OSError, match="No space"):
        write_deployment(model, tmp_path / "serve", name="m")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_model_that_brings_code_is_refused(model, tmp_path):
    change(model / "config.json", auto_map={"AutoModel": "x.Y"})
    with pytest.raises(ModelError, match="own code"):
        write_deployment(model, tmp_path / "serve", name="m")
