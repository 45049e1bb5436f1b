import pytest

from bench.__main__ import BENCHMARKS
from bench.report import DATA, HOW, STUDIO, Number, section, table, with_section
from bench.training import delays, written
from trainer.contract.events import MetricsEvent, StageEvent, to_line
from trainer.contract.rundir import RunDir


def test_a_table_says_which_goal_is_missed():
    text = table([Number("a", "1 s", "<= 2 s", True), Number("b", "3 s", "<= 2 s", False),
                  Number("c", "5 s")])
    lines = text.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert "| yes " in lines[2] and "| **no**" in lines[3] and lines[4].endswith("|        |")


def test_a_section_names_machine_command_and_revision():
    text = section(STUDIO, [Number("a", "1 s")], "make bench", "2026-01-31")
    assert text.startswith("## Studio\n")
    assert "`make bench` on 2026-01-31" in text and "cores" in text and "| a " in text


def test_a_section_is_replaced_and_the_others_stay():
    first = with_section("# Benchmarks\n", section(STUDIO, [Number("a", "1")], "x", "2026-01-31"))
    both = with_section(first, section(DATA, [Number("b", "2")], "y", "2026-01-31"))
    again = with_section(both, section(STUDIO, [Number("c", "3")], "z", "2026-02-01"))
    assert again.count("# Benchmarks") == 1 and both.startswith(first.rstrip())
    assert "| c " in again and "| b " in again and "| a " not in again
    assert again.index("## Studio") < again.index("## Data") and again.endswith(".\n")


@pytest.mark.parametrize("title", HOW)
def test_how_numbers_are_taken_stays_when_a_section_is_written_anew(title):
    """What is true of one measurement only stands above; it goes with its numbers."""
    document = BENCHMARKS.read_text(encoding="utf-8")
    before, _, after = document.partition(HOW[title] + "\n")
    assert before.rpartition("\n## ")[2].startswith(f"{title}\n")
    assert not after or after.startswith("\n## ")


def test_a_point_counts_as_shown_with_the_first_later_one():
    assert delays({3: 10.5, 5: 11.0}, {1: 9.0, 3: 10.0, 4: 10.75, 6: 12.0}) == [1.5, 0.5, 0.25]


@pytest.mark.parametrize("cut", [1, 20])
def test_steps_are_read_up_to_the_last_whole_line(tmp_path, cut):
    events = RunDir(tmp_path).new_attempt().events
    lines = [to_line(StageEvent(stage="training")),
             to_line(MetricsEvent(step=0, time=1.0, values={"exact_match": 0.0})),
             to_line(MetricsEvent(step=1, time=2.0, values={"loss": 1.5})),
             to_line(MetricsEvent(step=2, time=3.0, values={"loss": 1.0}))]
    events.write_text("".join(lines)[:-cut], encoding="utf-8")
    assert written(tmp_path) == {1: 2.0}
