import gzip
import json
import socket
import time

import pytest

ROWS = "".join(json.dumps({"question": f"q{n}", "answer": f"a{n}"}) + "\n" for n in range(20))
RAW = {"Content-Type": "application/octet-stream"}


def upload(rest, content, name="mine", filename="train.jsonl", headers=RAW):
    return rest.post("/api/datasets", content=content, headers=headers,
                     params={"name": name, "filename": filename})


def leftovers(rest):
    return list(rest.studio.home.tmp.iterdir())


def names(rest):
    return [choice["name"] for choice in rest.get("/api/datasets").json()["datasets"]]


def test_an_upload_is_checked_registered_and_usable(rest):
    answer = upload(rest, ROWS)
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert body["name"] == "mine" and body["size_bytes"] == len(ROWS)
    assert body["report"]["rows"] == body["report"]["usable"] == 20
    assert "mine" in names(rest)
    assert leftovers(rest) == []
    run = rest.post("/api/runs/dry-run", json={"model": {"name_or_path": "starter"},
                                               "data": {"train": ["mine"]}})
    assert run.json()["problems"] == []


def test_the_advice_of_a_refusal_is_said_once(rest):
    upload(rest, ROWS)
    error = upload(rest, ROWS).json()["error"]
    assert error == {"code": "name_taken", "message": "There is already a dataset 'mine'.",
                     "field": "", "advice": "Choose another name."}


@pytest.mark.parametrize("filename", ["train.jsonl.gz", "a b?.jsonl.gz"])
def test_a_compressed_file_is_taken(rest, filename):
    answer = upload(rest, gzip.compress(ROWS.encode()), filename=filename)
    assert answer.status_code == 201 and answer.json()["report"]["usable"] == 20, answer.text


def test_bad_rows_are_named_in_the_report(rest):
    report = upload(rest, ROWS + '{"question": "q"}\nno json\n').json()["report"]
    assert (report["rows"], report["usable"]) == (22, 20)
    assert {problem["row"] for problem in report["problems"]} == {21, 22}


@pytest.mark.parametrize("filename", ["../../x.jsonl", "..\\x.jsonl", "/etc/x.jsonl", "CON.jsonl",
                                      "a b;c.jsonl", ".env.jsonl", "x.html.jsonl"])
def test_the_server_chooses_the_stored_name(rest, filename):
    assert upload(rest, ROWS, filename=filename).status_code == 201
    stored = [path for path in rest.studio.home.root.rglob("*.jsonl")
              if path.name != "audit.jsonl"]
    assert len(stored) == 1 and stored[0].parent == rest.studio.home.data
    assert "x" not in stored[0].stem and "CON" not in stored[0].stem


@pytest.mark.parametrize("name", ["../x", "a/b", "", "a\x00b", "x" * 65, ".."])
def test_a_dataset_name_is_a_plain_name(rest, name):
    answer = upload(rest, ROWS, name=name)
    assert answer.status_code == 422, answer.text
    assert leftovers(rest) == []
    assert [path for path in rest.studio.home.data.iterdir() if path.suffix == ".jsonl"] == []


@pytest.mark.parametrize("filename", ["x.html", "x.svg", "x.zip", "x.tar.gz", "x", "x.py", "x.pkl",
                                      "x.parquet", "x.gz"])
def test_other_kinds_of_files_are_not_taken(rest, filename):
    assert upload(rest, ROWS, filename=filename).status_code == 422
    assert leftovers(rest) == []


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02", b"PK\x03\x04" + b"x" * 100, b"<html>"])
def test_content_that_is_no_data_is_refused(rest, content):
    answer = upload(rest, content)
    assert answer.status_code == 422
    assert answer.json()["error"]["message"]
    assert "mine" not in names(rest) and leftovers(rest) == []


def test_a_file_that_is_too_large_leaves_nothing(rest):
    large = b"x" * 200_001
    assert upload(rest, large).status_code == 413
    assert upload(rest, (large[n:n + 1000] for n in range(0, len(large), 1000))).status_code == 413
    assert leftovers(rest) == [] and "mine" not in names(rest)


def test_an_upload_that_is_cut_short_leaves_nothing(live, studio):
    port = int(live.address.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as sender:
        sender.sendall(b"POST /api/datasets?name=mine&filename=x.jsonl HTTP/1.1\r\n"
                       b"Host: 127.0.0.1\r\nContent-Type: application/octet-stream\r\n"
                       b"Content-Length: 100000\r\n\r\n" + ROWS.encode())
        deadline = time.monotonic() + 10
        while not list(studio.home.tmp.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert list(studio.home.tmp.iterdir())
    while list(studio.home.tmp.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert list(studio.home.tmp.iterdir()) == []
    assert "mine" not in {choice.name for choice in studio.datasets()}


def test_a_taken_name_is_refused_and_the_first_file_stays(rest):
    upload(rest, ROWS)
    answer = upload(rest, ROWS + ROWS)
    assert answer.status_code == 422
    assert len(list(rest.studio.home.data.glob("*.jsonl"))) == 1


def test_forms_are_not_taken(rest):
    answer = rest.post("/api/datasets?name=mine", files={"file": ("x.jsonl", ROWS)})
    assert answer.status_code == 415


def test_devices_and_models_are_listed(rest):
    devices = rest.get("/api/devices").json()["devices"]
    assert "cpu" in {device["key"] for device in devices}
    assert "starter" in rest.get("/api/models").json()["models"]
    assert rest.get("/api/health").json()["status"] == "ok"
