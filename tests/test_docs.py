"""Links of the documents lead to files that exist."""

import re

import pytest

from tests.source_tree import ROOT

PAGES = sorted(p.relative_to(ROOT).as_posix() for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"),
                                                         ROOT / "assets/make/README.md",
                                                         ROOT / "data/README.md"])


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_leads_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#\s]+)", text)
    missing = [link for link in links if "://" not in link
               and not (ROOT / page).parent.joinpath(link).exists()]
    assert not missing
