"""Pushing with the real client to a small hub, and to a folder; what is never given away."""

from __future__ import annotations

import hashlib
import pickle
import socket
from pathlib import Path

import pytest

from tests.app.models_hub import safetensors, write_model
from tests.trainer.export.push_hub import TOKEN, Taking, taking_hub
from trainer.export import push_files
from trainer.export.errors import ExportError
from trainer.export.push import Place, push_to_hub
from trainer.export.push_files import files_to_send, push_to_folder


@pytest.fixture
def hub(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", constants.HF_HUB_DISABLE_XET)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", "no-such-file")
    with taking_hub() as stub:
        monkeypatch.setattr(constants, "ENDPOINT", stub.url)
        yield stub


@pytest.fixture
def export(tmp_path) -> Path:
    folder = write_model(tmp_path / "export")
    (folder / ".gitattributes").unlink()
    (folder / "model-00002.safetensors").write_bytes(safetensors(8192))
    return folder


def here(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def code_of(folder: Path, place: Place, **more) -> ExportError:
    with pytest.raises(ExportError) as caught:
        push_to_hub(folder, place, **more)
    assert TOKEN not in f"{caught.value.message} {caught.value.advice}"
    return caught.value


def test_all_files_come_in_whole_in_one_private_commit(hub: Taking, export):
    seen: list[tuple[int, int, str]] = []
    report = push_to_hub(export, Place("me/model", TOKEN),
                         progress=lambda *one: seen.append(one))
    there = hub.repos["me/model"]
    assert {name: content for name, content in there.items()
            if name != ".gitattributes"} == here(export)
    assert "me/model" not in hub.public
    assert (hub.made, report.commit, report.url) == (1, f"{1:040x}", f"{hub.url}/me/model")
    assert report.bytes == sum(len(content) for content in here(export).values())
    assert [name for _, _, name in seen] == [file.name for file in files_to_send(export)]
    assert seen[-1][0] == seen[-1][1] == report.bytes
    assert report.notes == []
    assert {headers.get("Host") for _, _, headers in hub.asked} | {
        headers.get("host") for _, _, headers in hub.asked} - {None} <= {
            hub.url.removeprefix("http://"), None}
    assert TOKEN not in repr(Place("me/model", TOKEN))


def test_only_the_hub_sees_the_token_not_the_storage(hub: Taking, export):
    push_to_hub(export, Place("me/model", TOKEN))
    for _, path, headers in hub.asked:
        lower = {key.lower(): value for key, value in headers.items()}
        assert ("authorization" in lower) == (not path.startswith("/upload/"))


def test_pushed_again_nothing_is_sent_and_nothing_changes(hub: Taking, export):
    push_to_hub(export, Place("me/model", TOKEN))
    uploads = hub.count("/upload/")
    report = push_to_hub(export, Place("me/model", TOKEN))
    assert (hub.count("/upload/"), hub.made) == (uploads, 1)
    assert report.commit == f"{1:040x}"
    assert report.notes == ["'me/model' was there already."]


def test_a_push_that_was_cancelled_goes_on_by_hash(hub: Taking, export):
    seen: list[str] = []
    error = code_of(export, Place("me/model", TOKEN),
                    progress=lambda done, total, name: seen.append(name),
                    cancelled=lambda: any(name.endswith(".safetensors") for name in seen))
    assert error.code == "cancelled"
    assert set(hub.repos["me/model"]) == {".gitattributes"}
    assert (len(hub.objects), hub.made) == (1, 0)
    push_to_hub(export, Place("me/model", TOKEN))
    assert hub.count("/upload/") == 2
    assert len(hub.repos["me/model"]) == 1 + len(here(export))


def test_an_upload_that_breaks_off_is_sent_again(hub: Taking, export):
    hub.cut = 1
    push_to_hub(export, Place("me/model", TOKEN))
    assert hub.count("/upload/") == 3
    assert hub.repos["me/model"]["model.safetensors"] == (
        export / "model.safetensors").read_bytes()


@pytest.mark.parametrize("text, status, code", [
    ("/api/repos/create", 401, "push_token"), ("/api/repos/create", 403, "push_forbidden"),
    ("/api/repos/create", 400, "push_refused"), ("/api/repos/create", 503, "push_busy"),
    ("/upload/", 403, "push_forbidden"), ("/preupload/", 404, "push_refused"),
    ("/commit/", 403, "push_forbidden"), ("/commit/", 500, "push_busy")])
def test_what_the_hub_refuses_is_said(hub: Taking, export, text, status, code):
    hub.failing[text] = (status, {})
    assert code_of(export, Place("me/model", TOKEN)).code == code
    assert set(hub.repos.get("me/model", {})) <= {".gitattributes"}


def test_a_wrong_token_and_a_foreign_name(hub: Taking, export):
    assert code_of(export, Place("me/model", "hf_wrongwrongwrong")).code == "push_token"
    error = code_of(export, Place("they/model", TOKEN))
    assert error.code == "push_forbidden"
    assert "You don't have the rights" in error.message
    assert not hub.repos


def test_without_a_token_nobody_is_asked(hub: Taking, export):
    assert code_of(export, Place("me/model")).code == "push_no_token"
    assert not hub.asked


def test_the_token_of_the_environment_is_taken(hub: Taking, export, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert push_to_hub(export, Place("me/model")).commit


@pytest.mark.parametrize("name", ["model", "a/b/c", "../x/y", "me/mo del", "me/..", "me/m--l", "",
                                  "me/model.git", "https://hub/me/model", "me/-x", "-me/x"])
def test_a_name_that_is_none(hub: Taking, export, name):
    assert code_of(export, Place(name, TOKEN)).code == "push_name"
    assert not hub.asked


def test_a_repository_that_holds_something_else(hub: Taking, export):
    hub.repos["me/model"] = {"model.safetensors": safetensors(2048)}
    error = code_of(export, Place("me/model", TOKEN))
    assert error.code == "push_exists"
    assert "model.safetensors" in error.message
    assert (hub.made, hub.count("/upload/")) == (0, 0)
    push_to_hub(export, Place("me/model", TOKEN, existing=True))
    assert hub.repos["me/model"]["model.safetensors"] == (
        export / "model.safetensors").read_bytes()


def test_a_public_repository_gets_nothing_private(hub: Taking, export):
    hub.repos["me/model"] = {}
    hub.public.add("me/model")
    assert code_of(export, Place("me/model", TOKEN)).code == "push_public"
    assert hub.count("/preupload/") == 0
    push_to_hub(export, Place("me/model", TOKEN, private=False))
    push_to_hub(export, Place("me/open", TOKEN, private=False))
    assert hub.public == {"me/model", "me/open"}


def test_a_hub_that_does_not_answer(export, monkeypatch):
    from huggingface_hub import constants

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{taken.getsockname()[1]}")
        error = code_of(export, Place("me/model", TOKEN))
    assert error.code == "push_unreachable"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert code_of(export, Place("me/model", TOKEN)).code == "push_offline"


def test_what_the_hub_says_of_the_card_is_a_note(hub: Taking, export):
    hub.warnings.append("empty metadata")
    assert any("empty metadata" in note for note in
               push_to_hub(export, Place("me/model", TOKEN)).notes)


def test_missing_papers_are_told(hub: Taking, export):
    (export / "README.md").unlink()
    notes = push_to_hub(export, Place("me/model", TOKEN)).notes
    assert [note.split(":")[0] for note in notes] == [
        "There is no model card (README.md)",
        "Neither the model card nor a LICENSE file names a licence"]


class Marker:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "optimizer.pt", "x.pkl", "modeling_x.py",
                                  "notes.json", "card.txt", ".env", ".cache/x.json", "x.npy",
                                  "tokenizer.model", "x.sh"])
def test_pickles_code_and_hidden_files_are_never_sent(hub: Taking, export, tmp_path, name):
    (export / name).parent.mkdir(exist_ok=True)
    (export / name).write_bytes(pickle.dumps(Marker(tmp_path / "ran")))
    assert code_of(export, Place("me/model", TOKEN)).code == "push_file"
    with pytest.raises(ExportError):
        push_to_folder(export, tmp_path / "copy")
    assert not hub.asked
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "copy").exists()


def test_links_secrets_and_unfinished_folders_are_refused(hub: Taking, export, tmp_path,
                                                          monkeypatch):
    outside = tmp_path / "outside.json"
    outside.write_text("{}")
    (export / "more.json").symlink_to(outside)
    assert code_of(export, Place("me/model", TOKEN)).code == "push_link"
    (export / "more.json").unlink()
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    (export / "more.json").write_text(f'{{"key": "{TOKEN}"}}')
    assert code_of(export, Place("me/model", TOKEN)).code == "push_secret"
    (export / "more.json").unlink()
    unfinished = export.rename(tmp_path / "export.partial")
    assert code_of(unfinished, Place("me/model", TOKEN)).code == "push_unfinished"
    assert code_of(tmp_path / "none", Place("me/model", TOKEN)).code == "push_unfinished"
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "config.json").write_text("{}")
    assert code_of(empty, Place("me/model", TOKEN)).code == "push_unfinished"
    assert not hub.asked


def test_the_folder_of_several_formats_goes_as_it_is(hub: Taking, export, tmp_path):
    """Formats in folders, and the deployment folder with its .env, which has versions only."""
    from trainer.export.deploy import write_deployment

    whole = tmp_path / "all"
    whole.mkdir()
    export.rename(whole / "merged")
    write_deployment(whole / "merged", whole / "deployment", name="model", model_dir="../merged")
    report = push_to_hub(whole, Place("me/model", TOKEN))
    there = hub.repos["me/model"]
    assert there["deployment/.env"] == (whole / "deployment" / ".env").read_bytes()
    assert there["merged/model.safetensors"] == (whole / "merged/model.safetensors").read_bytes()
    assert report.notes == []
    with (whole / "deployment" / ".env").open("a") as file:
        file.write("API_KEY=a-long-random-text\n")
    assert code_of(whole, Place("me/model", TOKEN)).code == "push_secret"


def test_a_copy_is_the_same_and_appears_when_it_is_whole(export, tmp_path):
    seen: list[tuple[int, int, str]] = []
    target = tmp_path / "disk" / "copy"

    def progress(*one) -> None:
        seen.append(one)
        assert not target.exists()

    report = push_to_folder(export, target, progress=progress)
    assert here(target) == here(export)
    assert seen[-1][0] == seen[-1][1] == report.bytes
    assert [path.name for path in target.parent.iterdir()] == ["copy"]
    with pytest.raises(ExportError) as caught:
        push_to_folder(export, target)
    assert caught.value.code == "target_exists"


def test_a_copy_that_is_damaged_cancelled_or_too_large_leaves_nothing(export, tmp_path,
                                                                      monkeypatch):
    codes = []
    with pytest.raises(ExportError) as caught:
        push_to_folder(export, export / "inside")
    codes.append(caught.value.code)
    with pytest.raises(ExportError) as caught:
        push_to_folder(export, tmp_path / "copy", cancelled=lambda: True)
    codes.append(caught.value.code)
    with monkeypatch.context() as damaged, pytest.raises(ExportError) as caught:
        damaged.setattr(push_files, "sha256_of", lambda path: hashlib.sha256().hexdigest())
        push_to_folder(export, tmp_path / "copy")
    codes.append(caught.value.code)
    with monkeypatch.context() as full, pytest.raises(ExportError) as caught:
        full.setattr("shutil.disk_usage", lambda folder: type("Full", (), {"free": 1000}))
        push_to_folder(export, tmp_path / "copy")
    codes.append(caught.value.code)
    assert codes == ["target_inside", "cancelled", "copy_damaged", "disk_full"]
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


