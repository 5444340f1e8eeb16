"""A harvest whose workers are killed again and again, and its scheduler once: what is lost?

`boxis fleet run` runs in a process of its own, with a scheduler and workers of Dask as processes,
against a real server in this one. Workers get a SIGKILL at random moments, and others start in
their place. Half way the scheduler gets one too; then the same command runs again. Prints what the
server counted, and exits with 1 when a leg is lost or repeated, a file is not what its manifest
says, or any second had more requests than the limit and one, and what a busy machine counts
together though it was sent apart. About two minutes.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from _fleet import ROOT, Cluster, legs_at, legs_in, most_in_a_second, tenants

sys.path.append(str(ROOT / "tests" / "support"))
from stalls import Stalls

from boxis_async.fleet import verify
from boxis_async.testing import LoopbackServer, Provider

FIRST, LAST = date(2025, 1, 1), date(2026, 1, 1)
WORKERS, THREADS = 3, 4
PARTIAL = 6


def main(kills: int, count: int, rate: float, seed: int) -> bool:
    """Kill and resume, and tell whether the data set holds each leg once."""
    rng = random.Random(seed)
    of_tenants = tenants(count, FIRST, LAST, 1)
    provider = Provider(tenants=of_tenants, latency=lambda: rng.uniform(0.0, 0.2))
    expected = legs_at(of_tenants)
    print(
        f"{count} tenants x 12 months, {expected.total():,} legs; {rate:g} requests/s", flush=True
    )
    with (
        LoopbackServer(provider) as server,
        tempfile.TemporaryDirectory() as folder,
        Cluster(environment(provider, server.url), threads=THREADS) as cluster,
        Stalls() as stalls,
    ):
        dataset, listed = Path(folder, "calls"), Path(folder, "tenants.txt")
        listed.write_text("\n".join(of_tenants), "utf-8")
        began = time.perf_counter()
        made, ends = 0, []
        for run in range(2):
            cluster.start(WORKERS)
            job = start(provider, server.url, cluster.address, listed, dataset, rate)
            wanted = kills // 2 if run == 0 else kills
            while made < wanted and job.poll() is None:
                # At any moment of a task, so not in step with the requests.
                before = len(provider.requests)
                pause = rng.uniform(0.0, 0.3)
                while job.poll() is None and len(provider.requests) < before + 15:
                    time.sleep(0.01)
                time.sleep(pause)
                if job.poll() is None:
                    cluster.kill_worker(rng.randrange(WORKERS))
                    made += 1
            if run == 0:
                cluster.kill_scheduler()
            ends.append(end_of(job))
            if run == 0:
                code, said = ends[0]
                print(f"the scheduler was killed: exit code {code}: {said.strip()[-300:]}")
        # What a run lists as failed, the same command does again.
        while ends[-1][0] == PARTIAL and len(ends) < 5:
            ends.append(end_of(start(provider, server.url, cluster.address, listed, dataset, rate)))
        found = legs_in(dataset)
        verified = verify(dataset)
        half = len(list(dataset.rglob(".*.tmp")))
        sent, most = len(provider.requests), most_in_a_second(provider)
        seconds = time.perf_counter() - began
    whole = requests_of_an_undisturbed_run(of_tenants)
    lost, repeated = expected - found, found - expected
    print(
        f"{made} workers and 1 scheduler killed in {seconds:.0f} s, {len(ends)} runs, the last: "
        f"exit code {ends[-1][0]}\n{found.total():,} legs: {lost.total()} lost, {repeated.total()} "
        f"repeated; {len(verified.flaws)} partitions that differ from their manifests, {half} "
        f"files left half written beside their places\n{sent:,} requests, of which "
        f"{sent - whole:,} more than a run without kills; at most {most} in any second, under a "
        f"limit of {rate:g}; a thread here waited up to {1000 * stalls.longest:.0f} ms too long"
    )
    if ends[-1][0]:
        print(ends[-1][1])
    return (
        found == expected and made == kills and not verified.flaws
        and ends[-1][0] == 0 and most <= stalls.most(rate)
    )  # fmt: skip


def environment(provider: Provider, url: str) -> dict[str, str]:
    """Give the environment of the workers."""
    return {
        "BOXIS_USERNAME": provider.username,
        "BOXIS_API_KEY": provider.api_key,
        "BOXIS_BASE_URL": url,
    }


def end_of(job: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Wait for a run, and give its exit code and what it said."""
    _, said = job.communicate(timeout=600)
    return job.returncode, said.decode()


def start(  # noqa: PLR0913, PLR0917 - what there is to know of it
    provider: Provider, url: str, address: str, listed: Path, dataset: Path, rate: float
) -> subprocess.Popen[bytes]:
    """Begin the harvest, or resume it."""
    options = ["--tenants", str(listed), "--from", f"{FIRST}", "--to", f"{LAST}"]
    options += ["--dataset", str(dataset), "--scheduler", address, "--max-rate", f"{rate}"]
    return subprocess.Popen(
        [sys.executable, "-m", "boxis_async", "fleet", "run", *options],
        env=os.environ | environment(provider, url) | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )


def requests_of_an_undisturbed_run(of_tenants: dict[str, list[dict[str, str | None]]]) -> int:
    """Count the requests where nobody is killed."""
    provider = Provider(tenants=of_tenants)
    with (
        LoopbackServer(provider) as server,
        tempfile.TemporaryDirectory() as folder,
        Cluster(environment(provider, server.url), threads=THREADS) as cluster,
    ):
        listed = Path(folder, "tenants.txt")
        listed.write_text("\n".join(of_tenants), "utf-8")
        cluster.start(WORKERS)
        dataset = Path(folder, "calls")
        job = start(provider, server.url, cluster.address, listed, dataset, 1000)
        job.communicate(timeout=600)
        return len(provider.requests)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kills", type=int, nargs="?", default=20)
    parser.add_argument("--tenants", type=int, default=16)
    parser.add_argument("--rate", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    sys.exit(not main(given.kills, given.tenants, given.rate, given.seed))
