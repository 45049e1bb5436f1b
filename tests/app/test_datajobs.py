"""Jobs on data: the same work once, cancelled, killed, and gone with their keeper."""

import os
import signal
import threading

import pytest

from app.datajobs import DataJobs, Job, job_id
from app.datasets import make_worker
from tests.app.conftest import wait_for
from trainer.data import DatasetError


class Held:
    """A worker that does nothing until it is let go, or told to end."""

    def __init__(self):
        self.gate, self.calls, self.closed = threading.Event(), [], 0
        self.report = None

    def call(self, op, params, *, timeout_s=0, progress=None, cancel=None):
        self.calls.append((op, params))
        progress({"report": self.report})
        progress({"rows": 5, "bytes_done": 10, "bytes_total": 40})
        while not self.gate.wait(0.01):
            if cancel.is_set():
                raise DatasetError("cancelled", "The work on the data was cancelled.")
        if params.get("fail"):
            raise DatasetError("broken", "It is broken.", "Mend it.")
        return {"said": params}

    def close(self):
        self.closed += 1


@pytest.fixture
def held():
    return Held()


@pytest.fixture
def jobs(held):
    kept = DataJobs(lambda op: held, at_once=1)
    yield kept
    held.gate.set()
    kept.close()


def working(jobs, job):
    wait_for(lambda: jobs.get(job.id).total, what="progress")
    return jobs.get(job.id)


def test_the_same_work_is_done_once_and_tells_how_far_it_is(jobs, held):
    first = jobs.start("check", "mine", {"a": 1})
    assert jobs.start("check", "mine", {"a": 1}).id == first.id == job_id("check", "mine", {"a": 1})
    job = working(jobs, first)
    assert (job.state, job.fraction, job.rows, job.active) == ("working", 0.25, 5, True)
    held.gate.set()
    done = jobs.wait(first.id, 20)
    assert (done.state, done.result) == ("done", {"said": {"a": 1}})
    assert len(held.calls) == 1 and held.closed == 1
    again = jobs.start("check", "mine", {"a": 1})
    assert jobs.wait(again.id, 20).state == "done" and len(held.calls) == 2


def test_a_report_that_grows_is_the_result_so_far(jobs, held):
    held.report = {"rows": 5}
    job = jobs.start("check", "mine", {"a": 1})
    assert working(jobs, job).result == {"report": {"rows": 5}}


def test_one_at_a_time_and_waiting_work_can_be_cancelled(jobs, held):
    first, second = jobs.start("check", "a", {}), jobs.start("check", "b", {})
    working(jobs, first)
    assert jobs.get(second.id).state == "waiting"
    jobs.cancel(second.id)
    assert jobs.wait(second.id, 20).state == "cancelled"
    jobs.cancel(first.id)
    assert jobs.wait(first.id, 20).state == "cancelled"
    assert [op for op, _ in held.calls] == ["check"]


def test_an_error_is_kept_with_its_code_and_what_to_do(jobs, held):
    held.gate.set()
    job = jobs.wait(jobs.start("fix", "mine", {"fail": True}).id, 20)
    assert (job.state, job.error) == ("failed", ("broken", "It is broken.", "Mend it."))
    assert job.document()["error"]["code"] == "broken"


def test_what_follows_the_work_belongs_to_it(jobs, held):
    held.gate.set()

    def refuse(told):
        raise DatasetError("name_taken", "Taken.")

    assert jobs.wait(jobs.start("fix", "a", {}, then=lambda told: {"more": 1}).id, 20).result == {
        "more": 1}
    assert jobs.wait(jobs.start("fix", "b", {}, then=refuse).id, 20).error[0] == "name_taken"


def test_closing_ends_what_works_and_nothing_begins_afterwards(held):
    jobs = DataJobs(lambda op: held, at_once=1)
    first, second = jobs.start("check", "a", {}), jobs.start("check", "b", {})
    working(jobs, first)
    jobs.close()
    assert {jobs.get(job.id).state for job in (first, second)} == {"cancelled"}
    assert jobs.start("check", "c", {}).state == "cancelled"
    assert not [t for t in threading.enumerate() if t.name.startswith("data-")]


def test_work_that_is_not_known(jobs):
    with pytest.raises(DatasetError) as raised:
        jobs.get("nothing")
    assert raised.value.code == "unknown_job"


def test_the_time_that_is_left():
    job = Job("i", "check", "a", "working", done=25, total=100, started_at=100)
    assert job.eta_s(now=110) == pytest.approx(30)
    assert job.eta_s(now=100.5) is None


@pytest.mark.faults
def test_a_killed_child_is_told_and_the_next_one_reads_on(tmp_path):
    """The child dies in the middle of a file; the job says so, and the work can be asked again."""
    path = tmp_path / "long.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number in range(300_000):
            file.write(f'{{"question": "What is {number}?", "answer": "It is {number}."}}\n')
    workers = []

    def make(op):
        workers.append(make_worker(op))
        return workers[-1]

    jobs = DataJobs(make)
    try:
        params = {"source": str(path)}
        job = jobs.start("check", "long", params)
        wait_for(lambda: jobs.get(job.id).rows, 60, "the first rows")
        os.kill(workers[0]._child._process.pid, signal.SIGKILL)
        killed = jobs.wait(job.id, 60)
        assert killed.state == "failed" and killed.error[0] == "worker_died"
        assert "SIGKILL" in killed.error[1]
        done = jobs.wait(jobs.start("check", "long", params).id, 120)
        assert done.state == "done" and done.result["report"]["rows"] == 300_000
    finally:
        jobs.close()
