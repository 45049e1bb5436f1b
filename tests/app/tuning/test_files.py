"""/v1/files: what is kept, what is refused, and that nothing is left of that."""

import json
import socket

import httpx
import openai
import pytest

from app.apikeys import KeyRing
from app.server import ServerSettings, create_app
from app.serving.openai_errors import ApiError
from app.tuning import multipart
from app.tuning import rows as rows_of_openai
from tests.app.api.conftest import Live, opened
from tests.app.conftest import wait_for
from tests.app.tuning.conftest import CHAT, PAIRS, PROMPTS, lines, turn


def refused(client, rows, name="train.jsonl"):
    with pytest.raises(openai.BadRequestError) as told:
        client.files.create(file=(name, rows if isinstance(rows, bytes) else lines(rows)),
                            purpose="fine-tune")
    return told.value


def test_a_file_is_kept_as_it_was_sent(client, studio):
    sent = client.send(CHAT, "my chats.jsonl")
    assert (sent.filename, sent.bytes, sent.purpose) == (
        "my chats.jsonl", len(lines(CHAT)), "fine-tune")
    assert sent.status == "processed"
    assert client.files.retrieve(sent.id) == sent
    assert client.files.content(sent.id).read() == lines(CHAT)
    folder = studio.home.data / "openai" / sent.id
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert not list(studio.home.tmp.glob("upload-*"))


def test_a_file_is_deleted_once(client):
    sent = client.send(CHAT)
    assert client.files.delete(sent.id).deleted
    for ask in (client.files.retrieve, client.files.delete, client.files.content):
        with pytest.raises(openai.NotFoundError, match="There is no file"):
            ask(sent.id)


def test_files_are_listed_page_by_page(client):
    mine = [client.send(CHAT, f"{n}.jsonl").id for n in range(3)]
    first = client.files.list(limit=2)
    assert [one.id for one in first.data] == [mine[2], mine[1]]
    assert first.has_more
    assert [one.id for one in client.files.list(limit=2)][:3] == mine[::-1]
    assert [one.id for one in client.files.list(order="asc")][-3:] == mine
    assert not client.files.list(purpose="batch").data
    with pytest.raises(openai.BadRequestError):
        client.files.list(after="file-x")


@pytest.mark.parametrize(("rows", "said"), [
    ([*CHAT[:2], '{"messages": ['], "Row 3 of train.jsonl is not JSON"),
    (['{"mess'], "Row 1 of train.jsonl is not JSON"),
    ([CHAT[0], {"messages": [turn("wizard", "a"), turn("assistant", "b")]}],
     "Row 2 of train.jsonl has the role 'wizard'"),
    ([CHAT[0], {"messages": []}], "Row 2 of train.jsonl has no turns"),
    ([CHAT[0], PROMPTS[0]], "Row 2 of train.jsonl ends with the user"),
    ([CHAT[0], {"messages": [turn("user", "a"), {**turn("assistant", "b"), "weight": 0}]}],
     "Row 2 of train.jsonl says"),
    ([PAIRS[0], {"input": "Hi", "preferred_output": [], "non_preferred_output": []}],
     "Row 2 of train.jsonl has no list 'messages' in 'input'"),
    ([PAIRS[0], {**PAIRS[1], "preferred_output": [turn("user", "no")]}],
     "Row 2 of train.jsonl has no answers of the assistant in 'preferred_output'"),
    ([PAIRS[0], "oops"], "Row 2 of train.jsonl is not JSON"),
    ([PROMPTS[0], CHAT[0]], "Row 2 of train.jsonl does not end with the user"),
    ([{"messages": []}], "Row 1 of train.jsonl has no turns"),
    ([{"messages": "Hi"}], "Row 1 of train.jsonl has no turns"),
    ([{"a": 1}], "no known shape: "),
    ([{"a": 1}], "Each line is a JSON object with 'messages'"),
    ([{"text": "Once upon a time."}], "Each line is a JSON object with 'messages'"),
    (b"", "is empty"),
    (b"\n\n", "row"),
])
def test_bad_rows_are_named_by_number(client, studio, rows, said):
    before = client.files.list().data
    error = refused(client, rows)
    assert said in error.message
    assert (error.code, error.param) == ("invalid_file", "file")
    assert client.files.list().data == before
    assert not list(studio.home.tmp.glob("upload-*"))


def test_at_most_five_bad_rows_are_told_and_all_counted(client):
    wrong = [{"messages": [turn("wizard", "a"), turn("assistant", "b")]}] * 9
    error = refused(client, [CHAT[0], *wrong])
    assert error.message.count("wizard") == 5
    assert "9 rows are affected" in error.message


def test_a_file_that_is_too_large_leaves_nothing(client, studio, live):
    rows = lines(CHAT * 100)
    assert len(rows) > 100_000
    with pytest.raises(openai.APIStatusError) as told:
        client.files.create(file=("big.jsonl", rows), purpose="fine-tune")
    assert told.value.status_code == 413
    # Without a length nothing is known beforehand.
    form = b'--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n' + rows
    answer = httpx.post(f"{live.address}/v1/files", content=iter([form, b"\r\n--x--\r\n"]),
                        headers={"content-type": "multipart/form-data; boundary=x"},
                        trust_env=False)
    assert answer.status_code == 413
    assert not list(studio.home.tmp.glob("upload-*"))


def test_a_full_disk_is_told_before_anything_is_written(client, studio, monkeypatch):
    monkeypatch.setattr(multipart, "SPARE_BYTES", 1 << 60)
    with pytest.raises(openai.InternalServerError) as told:
        client.send(CHAT)
    assert (told.value.status_code, told.value.code) == (507, "no_space")
    assert not list(studio.home.tmp.glob("upload-*"))


def test_an_upload_that_breaks_off_leaves_nothing(studio, live):
    head = (b"POST /v1/files HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 5000\r\n"
            b"content-type: multipart/form-data; boundary=x\r\n\r\n"
            b'--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n{')
    with socket.create_connection(live.socket.getsockname()) as connection:
        connection.sendall(head)
        wait_for(lambda: list(studio.home.tmp.glob("upload-*/*")), what="the upload's file")
    wait_for(lambda: not list(studio.home.tmp.glob("upload-*")), what="its end")


def test_a_row_without_end_is_refused_by_its_number(client, monkeypatch):
    monkeypatch.setattr(rows_of_openai, "LINE_BYTES", 1000)
    error = refused(client, [CHAT[0], {"messages": [turn("user", "a" * 2000)]}])
    assert "Row 2 is longer" in error.message


@pytest.mark.parametrize(("form", "code"), [
    ({"files": {"file": ("a.jsonl", b"{}")}, "data": {"purpose": "batch"}}, "invalid_value"),
    ({"files": {"file": ("a.jsonl", b"{}")}}, "invalid_value"),
    ({"files": {"purpose": (None, "fine-tune")}}, "missing_required_parameter"),
    ({"files": {"file": ("a", lines(CHAT)), "expires_after[seconds]": (None, "9")},
      "data": {"purpose": "fine-tune"}}, "unsupported_parameter"),
    ({"content": b"--x\r\nnonsense", "headers": {
        "content-type": "multipart/form-data; boundary=x"}}, "invalid_form"),
    ({"content": b"--x", "headers": {"content-type": "multipart/form-data"}}, "invalid_form"),
])
def test_forms_that_are_none_are_refused(live, form, code):
    answer = httpx.post(f"{live.address}/v1/files", trust_env=False, **form)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


def test_only_forms_are_taken_and_only_here(live):
    post = httpx.post(f"{live.address}/v1/files", json={}, trust_env=False)
    assert post.status_code == 415
    post = httpx.post(f"{live.address}/v1/fine_tuning/jobs", files={"a": b""}, trust_env=False)
    assert post.status_code == 415
    post = httpx.post(f"{live.address}/v1/files", files={"file": b"{}"},
                      headers={"origin": "http://evil.example"}, trust_env=False)
    assert post.status_code == 403


def test_names_of_files_are_shown_and_never_used(client):
    assert client.send(CHAT, "../../etc/passwd").filename == "passwd"
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve("..%2f..%2fkeys.json")


def test_what_is_sent_and_deleted_is_in_the_audit_log(client, studio):
    sent = client.send(CHAT)
    refused(client, ["{"])
    client.files.delete(sent.id)
    log = [json.loads(line) for line in studio.home.audit.read_text().splitlines()][-3:]
    assert [(one["action"], one["ok"]) for one in log] == [
        ("create_file", True), ("create_file", False), ("delete_file", True)]
    assert sent.id in log[0]["detail"]
    assert sent.id == log[2]["detail"]


def test_a_key_needs_the_scope_tuning(tmp_path):
    with opened(tmp_path / "home") as studio:
        keys = KeyRing(studio.home)
        (_, chat), (_, tuning) = keys.create("a"), keys.create("b", ["tuning"])
        with Live(create_app(studio, ServerSettings(board=False))) as live:
            def post(key):
                return httpx.post(f"{live.address}/v1/files", data={"purpose": "fine-tune"},
                                  files={"file": ("a.jsonl", lines(CHAT))}, trust_env=False,
                                  headers={"authorization": f"Bearer {key}"})

            assert [post(key).status_code for key in (chat, tuning, "wrong")] == [403, 200, 401]


def test_parts_and_headers_without_end_are_refused(tmp_path):
    upload = multipart.Upload(tmp_path / "a", "multipart/form-data; boundary=x", 10)
    with pytest.raises(ApiError, match="too many"):
        upload._write(b"--x\r\na: b\r\n\r\n1\r\n" * 50)
    upload = multipart.Upload(tmp_path / "a", "multipart/form-data; boundary=x", 10)
    with pytest.raises(ApiError, match="cannot be read"):
        upload._write(b"--x\r\na: " + b"b" * 100_000)
