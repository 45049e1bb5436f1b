import gzip
import json
import socket
import time

import pytest

from tests.app.conftest import wait_for

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


@pytest.mark.faults
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


def done(rest, name, job):
    """Wait until a piece of work has ended; return it."""
    def ended():
        found = rest.get(f"/api/datasets/{name}/jobs/{job['id']}").json()
        return found if found["state"] not in ("waiting", "working") else None

    return wait_for(ended, 60, "the end of the work")


@pytest.fixture
def mixed(rest):
    """Twenty rows; the third has no answer, the fifth repeats the first."""
    lines = ROWS.splitlines(keepends=True)
    lines[2], lines[4] = '{"question": "q"}\n', lines[0]
    assert upload(rest, "".join(lines), name="mixed").status_code == 201
    return "/api/datasets/mixed"


def test_a_dataset_and_its_report(rest, mixed):
    found = rest.get(mixed).json()
    assert (found["rows"], found["bad_rows"], found["origin"]) == (20, 1, "user")
    assert found["report"]["problem_counts"] == {"missing_column": 1, "duplicate": 1}
    assert found["report"]["complete"] and found["checking"] is None
    assert rest.get("/api/datasets/none").status_code == 404


def test_problems_by_kind(rest, mixed):
    (group,) = rest.get(f"{mixed}/problems", params={"code": "missing_column"}).json()["groups"]
    assert group["total"] == 1 and group["items"][0]["row"] == 3
    assert len(rest.get(f"{mixed}/problems").json()["groups"]) == 2
    assert rest.get(f"{mixed}/problems", params={"offset": -1}).status_code == 422


def test_a_row_and_what_the_model_sees(rest, mixed):
    good = rest.get(f"{mixed}/rows/1").json()
    assert good["columns"] == {"question": "q0", "answer": "a0"} and good["problem"] is None
    assert any(s["trained"] and "a0" in s["text"] for s in good["preview"]["segments"])
    bad = rest.get(f"{mixed}/rows/3").json()
    assert bad["problem"]["code"] == "missing_column" and bad["preview"] is None
    assert rest.get(f"{mixed}/rows/99").status_code == 404
    assert rest.get(f"{mixed}/rows/1", params={"model": "/etc"}).json()["error"]["code"]
    assert rest.get(f"{mixed}/rows/1", params={"max_length": 1}).status_code == 422


@pytest.mark.faults
def test_lengths_are_measured_in_the_background(rest, mixed):
    first = rest.get(f"{mixed}/lengths").json()
    assert first["lengths"] is None
    assert done(rest, "mixed", first["measuring"])["state"] == "done"
    assert rest.get(f"{mixed}/lengths").json()["lengths"]["p50"] > 3


@pytest.mark.faults
def test_check_fix_split_and_versions(rest, mixed):
    checked = rest.post(f"{mixed}/check")
    assert checked.status_code == 202 and done(rest, "mixed", checked.json())["state"] == "done"
    fixed = done(rest, "mixed", rest.post(f"{mixed}/fix", json={"deduplicate": "exact"}).json())
    assert fixed["result"]["dropped"] == {"missing_column": 1, "duplicate": 1}
    parted = done(rest, "mixed", rest.post(f"{mixed}/split", json={"size": 4}).json())
    assert parted["result"]["eval_rows"] == 4
    assert rest.get(f"/api/datasets/{parted['result']['eval']}").json()["rows"] == 4
    assert len(rest.get(f"{mixed}/versions").json()["versions"]) == 3
    rest.post(f"{mixed}/restore", json={"version": 1})
    assert rest.get(mixed).json()["rows"] == 20
    assert rest.post(f"{mixed}/restore", json={"version": 9}).status_code == 404
    for body in ({"size": 0}, {"size": 4, "more": 1}, {}):
        assert rest.post(f"{mixed}/split", json=body).status_code == 422


def test_a_mapping_is_put(rest, mixed):
    answer = rest.put(f"{mixed}/mapping", json={"mapping": {"prompt": "answer",
                                                            "response": "question"}})
    assert answer.json() == {"name": "mixed"}
    assert rest.get(mixed).json()["report"]["mapping"]["prompt"] == "answer"
    wrong = rest.put(f"{mixed}/mapping", json={"mapping": {"nonsense": "x"}})
    assert wrong.status_code == 422 and wrong.json()["error"]["code"] == "mapping"


def test_deleting_and_what_cannot_be_deleted(rest, mixed):
    assert rest.delete(mixed).status_code == 204 and rest.get(mixed).status_code == 404
    assert rest.delete("/api/datasets/sample_chat").status_code == 409
    assert rest.delete("/api/datasets/none").status_code == 404


@pytest.mark.parametrize(("kind", "source"), [
    ("path", "/etc/passwd"), ("path", "../secret.jsonl"), ("folder", "/etc")])
def test_r5_only_paths_under_the_roots_are_added(rest, kind, source):
    answer = rest.post("/api/datasets/add", json={"kind": kind, "source": source})
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "path_outside_roots"


def test_a_path_under_a_root_is_added_where_it_lies(rest, studio):
    path = studio.home.data / "there.jsonl"
    path.write_text(ROWS)
    body = {"kind": "path", "source": str(path), "name": "there"}
    assert rest.post("/api/datasets/add", json=body).json() == {"name": "there"}
    assert rest.get("/api/datasets/there").json()["rows"] == 20


@pytest.mark.faults
def test_work_of_others_is_not_found_under_a_name(rest, mixed):
    job = rest.post(f"{mixed}/check").json()
    assert rest.get(f"/api/datasets/sample_chat/jobs/{job['id']}").status_code == 404
    assert rest.delete(f"{mixed}/jobs/{job['id']}").status_code == 200
    assert rest.get(f"{mixed}/jobs").json()["jobs"][-1]["op"] == "check"
    assert rest.get(f"{mixed}/jobs/none").status_code == 404


def test_an_upload_of_a_page_takes_columns_that_are_named_later(rest):
    answer = rest.post("/api/datasets", content='{"x1": "a", "x2": "b"}\n', headers=RAW, params={
        "name": "my odd file.jsonl", "filename": "my odd file.jsonl", "rename": True,
        "check": "later"})
    assert answer.status_code == 201 and answer.json()["name"] == "my-odd-file"
    assert rest.get("/api/datasets/my-odd-file").json()["code"] == "unknown_shape"
