"""The data service over a real home: reports, rows, changes, and what outlives a restart."""

import json

import pytest

from app.datachanges import Fixes
from app.datajobs import DataJobs
from app.datarows import ViewOptions, lengths, preview, row_view
from app.datasetviews import ReportView
from tests.app.test_datajobs import Held
from trainer.contract.rundir import RunDir
from trainer.data import DatasetError

HOSTILE = "<img src=x onerror=alert(1)>"


def write(path, *rows):
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n"
                            for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def mixed(tmp_path):
    """Twelve rows: one torn, one without an answer, one that says what the first says."""
    rows = [{"question": f"What is {n}?", "answer": f"It is {n}."} for n in range(12)]
    rows[3] = {"question": HOSTILE}
    rows[7] = dict(rows[0])
    lines = [json.dumps(row) + "\n" for row in rows]
    lines[5] = '{"question": "torn\n'
    return write(tmp_path / "mixed.jsonl", *lines)


@pytest.fixture
def studio(fake_studio, mixed):
    fake_studio.changes.add_file(mixed, "mixed")
    return fake_studio


def audit(studio):
    return [json.loads(line) for line in studio.home.audit.read_text().splitlines()]


def test_the_list_says_what_each_dataset_is_and_who_uses_it(studio):
    run = studio.create({"data": {"train": [{"name": "mixed", "weight": 2}], "bad_rows": "skip"},
                         "training": {"max_steps": 1}})
    first = studio.data.all()[0]
    assert (first.name, first.rows, first.bad_rows, first.kind) == (
        "mixed", 12, 2, "question_answer")
    assert first.used_by == ((run.id, run.name),) and first.origin == "user"
    assert first.objectives == ("sft", "grpo", "rloo", "distillation", "gkd")
    assert first.size_bytes > 100


def test_problems_come_by_kind_in_pages_with_the_dataset_s_name(studio):
    pages = {page.code: page for page in studio.data.problems("mixed")}
    assert {code: page.total for code, page in pages.items()} == {
        "missing_column": 1, "not_json": 1, "duplicate": 1}
    assert pages["not_json"].items[0].row == 6 and pages["duplicate"].items[0].row == 8
    assert pages["missing_column"].severity == "error"
    assert "of mixed has no 'answer'" in pages["missing_column"].items[0].message


def test_many_problems_are_paged_beyond_what_a_report_holds(fake_studio, tmp_path):
    good = [{"question": f"q{n}", "answer": f"a{n}"} for n in range(200)]
    rows = [{"question": f"What is {n}?"} for n in range(10_050)]
    path = write(tmp_path / "bad.jsonl", *good, *rows)
    fake_studio.changes.add_file(path, "bad")
    (page,) = fake_studio.data.problems("bad", {"missing_column": 10_040}, limit=20)
    assert page.total == 10_050 and [note.row for note in page.items] == list(range(10_241, 10_251))
    (page,) = fake_studio.data.problems("bad", {"missing_column": 9_995}, limit=20)
    assert [note.row for note in page.items] == list(range(10_196, 10_216))


def test_a_report_outlives_the_process(studio, open_studio, monkeypatch):
    studio.data.report("mixed")
    again = open_studio()
    monkeypatch.setattr("trainer.data.checking.reports.check",
                        lambda *a, **k: pytest.fail("read again"))
    report, job = again.data.report("mixed")
    assert report.complete and report.rows == 12 and job is None


@pytest.mark.faults
def test_a_long_file_shows_its_first_rows_while_the_others_are_read(fake_studio, tmp_path,
                                                                    monkeypatch):
    monkeypatch.setattr("app.datasets.SMALL_BYTES", 10)
    rows = [{"question": f"q{n}", "answer": f"a{n}"} for n in range(3_000)]
    fake_studio.changes.add_file(write(tmp_path / "long.jsonl", *rows, "torn\n"), "long")
    data = fake_studio.data
    assert data.choice("long").rows is None
    first, job = data.report("long")
    assert first.kind == "question_answer" and first.rows < 3_000 and not first.complete
    assert data.report("long")[1] in (None, data.jobs.get(job.id))
    assert data.jobs.wait(job.id, 60).state == "done"
    whole, job = data.report("long")
    assert whole.complete and (whole.rows, whole.bad_rows, job) == (3_001, 1, None)
    assert data.choice("long").rows == 3_001


@pytest.fixture
def held_long(open_studio, tmp_path, monkeypatch):
    """A dataset that is not small, in a studio whose children do nothing until let go."""
    held = Held()
    studio = open_studio()
    studio.data.jobs = DataJobs(lambda op: held)
    path = write(tmp_path / "long.jsonl", *({"question": f"q{n}", "answer": "a"} for n in range(9)))
    studio.changes.add_file(path, "long")
    studio.data.reports.check(studio.data.spec("long"))
    monkeypatch.setattr("app.datasets.SMALL_BYTES", 10)
    yield studio.data, held
    held.gate.set()
    studio.data.jobs.close()


def test_reading_again_forgets_what_was_found(held_long):
    data, _ = held_long
    assert data.report("long")[0].complete
    data.check("long")
    assert data.stored(data.spec("long")) is not None
    for job in data.jobs.of("long"):
        data.jobs.cancel(job.id)
        data.jobs.wait(job.id, 20)
    data.check("long", again=True)
    assert data.stored(data.spec("long")) is None


def test_a_check_that_was_cancelled_is_made_again_only_for_other_rows(held_long):
    data, held = held_long
    job = data.check("long", again=True)
    data.jobs.cancel(job.id)
    assert data.jobs.wait(job.id, 20).state == "cancelled"
    data._looked.clear()
    spec = data.spec("long")
    data.first_look = lambda spec: ReportView(1, 1, "question_answer", "", 1.0)
    assert data.report("long")[1].state == "cancelled" and len(held.calls) == 1
    with spec.path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"question": "one more", "answer": "a"}) + "\n")
    assert data.report("long")[1].active


def test_a_deleted_dataset_leaves_no_work_to_the_next_of_its_name(studio):
    studio.data.jobs = DataJobs(lambda op: Done())
    studio.data.jobs.wait(studio.data.check("mixed").id, 20)
    studio.changes.delete("mixed")
    assert studio.data.jobs.of("mixed") == []
    studio.data.jobs.close()


class Done:
    """A worker that is done at once."""

    def call(self, op, params, **_):
        return {}

    def close(self):
        pass


def test_a_row_is_shown_beside_what_the_model_sees(studio):
    view = row_view(studio.data, "mixed", 1, ViewOptions())
    assert [(c.column, c.role, c.text) for c in view.cells] == [
        ("question", "prompt", "What is 0?"), ("answer", "response", "It is 0.")]
    (side,) = view.sides
    trained = "".join(piece.text for piece in side.pieces if piece.trained)
    assert trained.startswith("It is 0.") and side.trained < side.tokens
    assert any(piece.special for piece in side.pieces)
    seen = preview(studio.data, "mixed", 1, ViewOptions())
    assert "".join(piece.text for piece in side.pieces) == seen["text"]


def test_a_bad_row_says_why_and_shows_its_cells(studio):
    view = row_view(studio.data, "mixed", 4, ViewOptions())
    assert view.problem[0] == "missing_column" and view.cells[0].text == HOSTILE
    assert "mixed" in view.problem[1] and not view.sides
    assert row_view(studio.data, "mixed", 6, ViewOptions()).problem[0] == "not_json"
    with pytest.raises(DatasetError) as raised:
        row_view(studio.data, "mixed", 99, ViewOptions())
    assert raised.value.code == "no_such_row"


def test_what_would_be_cut_and_what_would_be_dropped(studio):
    (cut,) = row_view(studio.data, "mixed", 1, ViewOptions(max_length=16)).sides
    assert cut.tokens == 16 and cut.cut > 0 and any(piece.cut for piece in cut.pieces)
    (dropped,) = row_view(studio.data, "mixed", 1, ViewOptions(
        max_length=16, overlong="drop")).sides
    assert dropped.dropped


def test_prompts_can_be_trained_too(studio):
    (plain,) = row_view(studio.data, "mixed", 1, ViewOptions()).sides
    (whole,) = row_view(studio.data, "mixed", 1, ViewOptions(train_on_prompt=True)).sides
    assert whole.trained > plain.trained


def test_a_pair_shares_its_prompt(fake_studio):
    prompt, chosen, rejected = row_view(
        fake_studio.data, "sample_preferences", 1, ViewOptions()).sides
    assert (prompt.name, chosen.name, rejected.name) == ("prompt", "chosen", "rejected")
    assert prompt.trained == 0 and chosen.trained == chosen.tokens
    assert chosen.pieces != rejected.pieces


def test_labels_tools_and_plain_text(fake_studio):
    labels = {row_view(fake_studio.data, "sample_kto", n, ViewOptions()).label for n in range(1, 9)}
    assert labels == {True, False}
    assert row_view(fake_studio.data, "sample_tools", 1, ViewOptions()).tools
    (side,) = row_view(fake_studio.data, "sample_text", 1, ViewOptions()).sides
    assert side.trained == side.tokens


def test_a_template_that_fails_is_told_beside_the_cells(studio):
    view = row_view(studio.data, "mixed", 1, ViewOptions(template="no-such"))
    assert view.cells and not view.sides and view.error[1]


def test_models_outside_the_roots_are_not_named(studio, tmp_path):
    view = row_view(studio.data, "mixed", 1, ViewOptions(model=str(tmp_path)))
    assert view.error[0] in ("path_outside_roots", "model_not_here")


@pytest.mark.faults
def test_lengths_are_measured_once_and_kept(studio, open_studio):
    found, job = lengths(studio.data, "mixed", ViewOptions())
    assert found is None and studio.data.jobs.wait(job.id, 60).state == "done"
    found, _ = lengths(studio.data, "mixed", ViewOptions())
    assert found["max"] >= found["p50"] > 5 and sum(n for *_, n in found["histogram"]) == 10
    assert lengths(open_studio().data, "mixed", ViewOptions(), start=False)[0] == found
    assert lengths(studio.data, "mixed", ViewOptions(max_length=8), start=False) == (None, None)


def test_measuring_that_was_cancelled_waits_to_be_asked_for(held_long):
    data, held = held_long
    _, job = lengths(data, "long", ViewOptions())
    data.jobs.cancel(job.id)
    assert data.jobs.wait(job.id, 20).state == "cancelled"
    assert lengths(data, "long", ViewOptions())[1].state == "cancelled" and len(held.calls) <= 1
    assert lengths(data, "long", ViewOptions(), again=True)[1].active


def test_rows_of_columns_that_nobody_knows_show_their_cells(fake_studio, tmp_path):
    path = write(tmp_path / "odd.jsonl", *({"foo": n, "bar": HOSTILE} for n in range(5)))
    fake_studio.changes.add_file(path, "odd", any_shape=True)
    view = row_view(fake_studio.data, "odd", 2, ViewOptions())
    assert [(cell.column, cell.text) for cell in view.cells] == [("foo", "1"), ("bar", HOSTILE)]
    assert view.error[0] == "unknown_shape" and not view.sides


@pytest.mark.faults
def test_a_fix_writes_a_version_and_keeps_the_old_one(studio):
    job = studio.changes.fix("mixed", Fixes(deduplicate="exact"))
    done = studio.data.jobs.wait(job.id, 60)
    assert done.state == "done" and done.result["dropped"] == {
        "missing_column": 1, "not_json": 1, "duplicate": 1}
    assert studio.data.choice("mixed").rows == 9 and studio.data.choice("mixed").versions == 1
    assert studio.data.choice("mixed").bad_rows == 0
    _, new = studio.changes.versions("mixed")
    assert new.current and "duplicate" in new.note
    assert studio.data.report("mixed@1")[0].rows == 12
    studio.changes.restore("mixed", 1)
    assert studio.data.choice("mixed").rows == 12


@pytest.mark.faults
def test_a_fix_with_nothing_to_do_leaves_no_version(fake_studio):
    job = fake_studio.changes.fix("sample_chat", Fixes())
    assert fake_studio.data.jobs.wait(job.id, 60).result["name"] == "sample_chat"
    assert len(fake_studio.data.all()) == len({one.name for one in fake_studio.data.all()})
    assert not [p for p in fake_studio.home.data.iterdir() if p.suffix == ".jsonl"]


@pytest.mark.faults
def test_a_split_makes_a_second_dataset(studio):
    done = studio.data.jobs.wait(studio.changes.split("mixed", 3, 7).id, 60)
    assert done.state == "done", done.error
    assert studio.data.choice(done.result["eval"]).rows == 3
    assert studio.data.choice("mixed").rows == 8
    assert studio.data.report("mixed@1")[0].rows == 12


def test_a_mapping_is_tried_saved_and_taken_back(studio):
    swapped = {"prompt": "answer", "response": "question"}
    first = studio.changes.effect("mixed", swapped)[0]
    assert first.messages[0].content == "It is 0."
    assert studio.changes.map("mixed", swapped) == "mixed"
    assert studio.data.report("mixed")[0].mapping["prompt"] == "answer"
    studio.changes.map("mixed", None)
    assert studio.data.report("mixed")[0].mapping["prompt"] == "question"
    with pytest.raises(DatasetError):
        studio.changes.map("mixed", {"nonsense": "question"})


def test_a_shared_sample_is_copied_before_it_is_mapped(fake_studio):
    mapping = {"prompt": "output", "response": "instruction"}
    name = fake_studio.changes.map("sample_instructions", mapping)
    assert name == "sample_instructions-2"
    assert fake_studio.data.report(name)[0].mapping["prompt"] == "output"
    assert fake_studio.data.report("sample_instructions")[0].mapping["prompt"] == "instruction"


def test_columns_that_nobody_knows_can_be_mapped_afterwards(fake_studio, tmp_path):
    path = write(tmp_path / "odd.jsonl", {"frage": "Was?", "aussage": "Das.", "nr": 1})
    with pytest.raises(DatasetError):
        fake_studio.changes.add_file(path, "odd")
    assert fake_studio.changes.add_file(path, "odd", any_shape=True) == "odd"
    assert fake_studio.data.choice("odd").code == "unknown_shape"
    assert fake_studio.data.columns("odd") == ["frage", "aussage", "nr"]
    fake_studio.changes.map("odd", {"prompt": "frage", "response": "aussage"})
    assert fake_studio.data.choice("odd").rows == 1


def test_paths_are_added_where_they_lie_and_only_inside_the_roots(open_studio, tmp_path):
    inside, outside = tmp_path / "roots", tmp_path / "elsewhere"
    for folder in (inside, outside):
        folder.mkdir()
        write(folder / "d.jsonl", {"question": "q", "answer": "a"})
    (inside / "link.jsonl").symlink_to(outside / "d.jsonl")
    studio = open_studio(data_roots=[inside])
    assert studio.changes.add_path(str(inside / "d.jsonl")) == "d"
    assert studio.data.choice("d").rows == 1
    for path in (outside / "d.jsonl", inside / "link.jsonl", inside / ".." / "elsewhere/d.jsonl"):
        with pytest.raises(DatasetError) as raised:
            studio.changes.add_path(str(path))
        assert raised.value.code == "path_outside_roots"
    studio.changes.delete("d")
    assert (inside / "d.jsonl").exists()


def test_a_whole_folder_of_llama_factory(open_studio, tmp_path):
    folder = tmp_path / "lf"
    folder.mkdir()
    write(folder / "a.json", json.dumps([{"instruction": "i", "input": "", "output": "o"}]))
    (folder / "dataset_info.json").write_text(json.dumps({
        "good": {"file_name": "a.json"}, "gone": {"file_name": "none.json"},
        "away": {"file_name": "../../secret.json"}}))
    studio = open_studio(data_roots=[folder])
    found = dict(studio.changes.add_folder(str(folder)))
    assert found["good"] == "" and found["gone"] and found["away"]
    assert studio.data.choice("good").rows == 1


@pytest.mark.faults
def test_deleting_says_who_uses_it_and_refuses_while_a_run_goes_on(studio, hold):
    release = hold(1)
    run = studio.create({"data": {"train": ["mixed"], "bad_rows": "skip"},
                         "training": {"max_steps": 2}})
    with pytest.raises(DatasetError) as raised:
        studio.changes.delete("mixed")
    assert raised.value.code == "dataset_in_use" and run.name in raised.value.message
    studio.stop(run.id)
    release()
    from tests.app.conftest import until_ended

    until_ended(studio, run.id)
    studio.changes.delete("mixed")
    with pytest.raises(DatasetError):
        studio.data.choice("mixed")
    assert RunDir(run.dir).config.exists()


def test_shared_samples_are_not_deleted(fake_studio):
    with pytest.raises(DatasetError) as raised:
        fake_studio.changes.delete("sample_chat")
    assert raised.value.code == "shared_dataset"


def test_each_change_leaves_one_line_also_when_it_fails(studio):
    before = len(audit(studio))
    with pytest.raises(DatasetError):
        studio.changes.add_path("/etc/passwd", who="eve")
    studio.changes.delete("mixed", who="ann")
    lines = audit(studio)[before:]
    assert [(line["action"], line["who"], line["ok"]) for line in lines] == [
        ("add_dataset", "eve", False), ("delete_dataset", "ann", True)]


@pytest.mark.parametrize("name", ["/etc/passwd", "../mixed", "mixed/../x", "no", "mixed@9", ""])
def test_only_registered_names_are_looked_at(studio, name):
    with pytest.raises(DatasetError):
        studio.data.report(name)
