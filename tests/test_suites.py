from collections import Counter

import pytest

from tests import suites


def test_every_marker_belongs_to_exactly_one_suite():
    names = {suite.name for suite in suites.SUITES}
    assert names == {"unit", "training", "faults", "serving", "browser", "long"}
    unit = next(suite for suite in suites.SUITES if suite.name == "unit")
    for name in names - {"unit"}:
        assert f"not {name}" in unit.markers


def test_the_budgets_of_make_test_fit_into_25_minutes():
    assert sum(suite.budget_s for suite in suites.SUITES if suite.name != "long") <= 25 * 60


def test_the_table_of_the_workshop_names_the_budgets():
    text = (suites.ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")] for line in text.splitlines()]
    told = {row[1].strip("`()"): row[3] for row in rows if len(row) == 5}
    for suite in suites.SUITES:
        assert told["none" if suite.name == "unit" else suite.name] == f"{suite.budget_s} s"


def test_a_report_is_added_up(tmp_path):
    report = tmp_path / "report.xml"
    report.write_text('<testsuites><testsuite tests="9" failures="1" errors="1" skipped="2"/>'
                      "</testsuites>", encoding="utf-8")
    assert suites.count(report) == Counter(passed=5, failed=2, skipped=2)
    assert suites.count(tmp_path / "none.xml") == Counter()


@pytest.mark.parametrize(("status", "passed", "said"), [
    (0, 3, ""), (0, 0, "ran no test"), (5, 0, "ran no test"), (124, 2, "hung: ended after 35 s"),
    (2, 0, "pytest ended with 2"),
])
def test_a_suite_that_ran_nothing_has_failed(status, passed, said):
    counts = Counter(passed=passed)
    assert suites.explain(status, suites.Suite("unit", 7), counts) == said


def test_an_unknown_suite_is_refused(capsys):
    assert suites.main(["unti"]) == 2
    assert "Unknown suite: unti" in capsys.readouterr().err
