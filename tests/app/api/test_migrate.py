import ast

from tests.app.api.conftest import CONFIG


def test_a_file_of_llamafactory_becomes_a_config(rest):
    answer = rest.post("/api/import", json={"text": "stage: dpo\nmodel_name_or_path: a/b\n"
                                                    "dataset: sample_preferences\n"})
    assert answer.status_code == 200
    found = answer.json()
    assert found["config"]["objective"] == "dpo"
    assert [row["key"] for row in found["report"]] == ["stage", "model_name_or_path", "dataset"]
    assert found["problems"] == []


def test_what_is_no_file_is_an_error(rest):
    answer = rest.post("/api/import", json={"text": "stage: [dpo"})
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "yaml_syntax"


def test_no_file_of_this_machine_is_looked_at(rest, tmp_path):
    (tmp_path / "dataset_info.json").write_text('{"x": {"file_name": "x.json"}}')
    (tmp_path / "x.json").write_text("[]")
    answer = rest.post("/api/import", json={"text": f"dataset: x\ndataset_dir: {tmp_path}\n"})
    assert answer.json()["config"]["data"]["train"] == ["x"]


def test_a_runs_script(rest):
    run = rest.post("/api/runs", json=CONFIG).json()["id"]
    answer = rest.get(f"/api/runs/{run}/script")
    assert answer.status_code == 200, answer.text
    assert f'filename="{run}.py"' in answer.headers["content-disposition"]
    ast.parse(answer.text)
    assert rest.get("/api/runs/none/script").status_code == 404
