"""The page on support: what it says of stored formats of other versions is what is raised."""

from __future__ import annotations

import json
import re
from datetime import date
from typing import TYPE_CHECKING

import pytest
from paths import ROOT

from boxis_async import BoxisClient, Coverage, UsageError
from boxis_async.export import unfinished

if TYPE_CHECKING:
    from pathlib import Path

TEXT = (ROOT / "docs" / "support.md").read_text("utf-8")
OF_COVERAGE, OF_JOURNAL = re.findall(r"^```text\n(.+)\n```$", TEXT, re.MULTILINE)


def test_coverage_of_an_earlier_version_is_refused_as_shown() -> None:
    """The page has the version of a coverage, and the error about another one."""
    client = BoxisClient("ops@example.com", "key", tenant="VOICE-29001-1")
    written = json.loads(client.cdrs(date(2026, 10, 1)).coverage.to_json())
    version = written["version"]
    assert f"now {version} |" in TEXT
    with pytest.raises(UsageError) as raised:
        Coverage.from_json(json.dumps(written | {"version": version - 1}))
    assert str(raised.value) == OF_COVERAGE


def test_journal_of_a_later_version_is_refused_as_shown(tmp_path: Path) -> None:
    """The page has the error about a journal that this version cannot read."""
    folder = tmp_path / "calls.csv.unfinished"
    folder.mkdir()
    (folder / "journal.json").write_text('{"version": 2}', "utf-8")
    with pytest.raises(UsageError) as raised:
        unfinished(tmp_path / "calls.csv")
    assert str(raised.value) == OF_JOURNAL.replace("…", str(tmp_path))
