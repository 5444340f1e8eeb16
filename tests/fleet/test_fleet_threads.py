"""A file of legs is read without threads: one that still runs when Python ends aborts it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from boxis_async.fleet.legs_table import TENANT

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import os, sys
from pathlib import Path
import pyarrow.compute, pyarrow.parquet
from boxis_async.fleet.legs_table import check_legs_file

content = Path(sys.argv[1]).read_bytes()
before = len(os.listdir("/proc/self/task"))
rows, flaw, _ = check_legs_file(content, "T")
print(rows, flaw, len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.subprocess
@pytest.mark.skipif(sys.platform != "linux", reason="Linux lists a process's threads in /proc")
def test_no_thread_is_left_behind(tmp_path: Path) -> None:
    """`boxis fleet verify` was aborted at its end, 9 times of 160, when pyarrow's threads read."""
    path = tmp_path / "legs.parquet"
    columns = {TENANT: ["T"] * 20_000} | {f"c{number}": ["x"] * 20_000 for number in range(40)}
    pq.write_table(pa.table(columns), path, row_group_size=5_000)
    command = [sys.executable, "-c", PROGRAM, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["20000", "None", "0"]
