"""A month of calls, watched in fast motion: is a change missed, or handed over twice?

Costs come four hours late, records are repaired, requests fail in every way, for some hours all of
them do, and the watch is restarted at random: closed in order, or left as a crash leaves it. With
`--kill` it runs in a process of its own that gets a SIGKILL at random moments (Unix only). Prints
what was missed and repeated, requests an hour, and the delay from hang-up to hand-over. Exits with
1 if a change is missed or handed over twice within a process, or it takes over 1.5 requests an
interval.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from datetime import date, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, TypeAlias

sys.path.append(str(Path(__file__).parents[1] / "support"))

import attrs
from fast_forward import fast_forward
from watched import HOUR, ZONE, Handed, Judgement, Kept, World, judge, kinds, of_json

from boxis_async import FilePosition

if TYPE_CHECKING:
    from collections.abc import Callable

    from boxis_async import Position

Run: TypeAlias = tuple[World, list[Handed], float, list[tuple[float, float]]]

START = date(2026, 10, 1)
OUTAGES = ((60.5, 64.0), (150.0, 151.0), (400.0, 409.5))
AFTER = 24 * HOUR
"""Until all is settled."""


def world_of(arguments: argparse.Namespace) -> World:
    """Make the world, the same in each process."""
    return World(
        START,
        arguments.days,
        calls_per_day=arguments.calls,
        seed=arguments.seed,
        filter_mode=arguments.rule,
        faults=arguments.faults,
        outages=OUTAGES,
        long_legs=arguments.days,
    )


async def watch(  # noqa: PLR0913, PLR0917 - each is one property of a process
    world: World,
    position: Position,
    process: int,
    until: float,
    note: Callable[[Handed], object],
    every: float,
) -> int:
    """Watch until a moment, note each change, and give the requests."""
    rng = random.Random(process)
    async with world.client() as client:
        changes = client.watch(every=timedelta(seconds=every), position=position)
        try:
            async with asyncio.timeout(until - time.time()):
                async for change in changes:
                    note(Handed.of(process, change))
                    await asyncio.sleep(rng.uniform(0, 1))
        except TimeoutError:
            # Closed in order every second time; else what is not saved is lost.
            if process % 2:
                await changes.aclose()
        return changes.requests


def in_process(arguments: argparse.Namespace) -> Run:
    """Watch in this process, restarted at random."""
    world = world_of(arguments)
    rng = random.Random(arguments.seed)
    handed: list[Handed] = []
    position = Kept()
    watched = 0.0
    down: list[tuple[float, float]] = []
    end = world.end + AFTER
    with fast_forward(world.start) as runner:
        process = 0
        while time.time() < end:
            process += 1
            until = min(end, time.time() + rng.expovariate(1 / (arguments.restart * HOUR)) + 60)
            watched += until - time.time()
            runner.run(watch(world, position, process, until, handed.append, arguments.every))
            # It is down for a while, now and then for half a day.
            pause = 12 * HOUR if rng.random() < 0.1 else rng.uniform(1, 300)
            # What ended just before was not looked at any more.
            down.append((time.time() - 2 * HOUR, time.time() + pause))
            if time.time() < end:
                runner.run(asyncio.sleep(min(pause, end - time.time())))
        world.catch_up()
        print(f"{process} processes, {position.saves:,} saves, {len(position.text or ''):,} bytes")
        return world, handed, watched, down


def child(arguments: argparse.Namespace) -> None:
    """Watch in a process that may be killed, from a moment on."""
    folder = Path(arguments.child)
    world = world_of(arguments)
    world.provider.clock_tolerance = 1e9
    # At the hard limit the kernel sends a SIGKILL. A time by the clock would be over before the
    # watch begins, on a machine that is busy.
    limit = int(time.process_time()) + random.Random(arguments.process).randint(
        *arguments.kill_after
    )
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    with (
        (folder / "handed").open("a") as file,
        (folder / "time").open("r+b", buffering=0) as clock_file,
        fast_forward(arguments.start) as runner,
    ):

        def note(one: Handed) -> None:
            file.write(json.dumps(attrs.asdict(one)) + "\n")
            file.flush()

        async def tell_time() -> None:
            while True:
                clock_file.seek(0)
                clock_file.write(f"{time.time():020.6f}".encode())
                await asyncio.sleep(60)

        async def both() -> None:
            clock = asyncio.create_task(tell_time())
            position = FilePosition(folder / "position")
            end = world.end + AFTER
            await watch(world, position, arguments.process, end, note, arguments.every)
            clock.cancel()

        runner.run(both())
    (folder / "done").touch()


def killed(arguments: argparse.Namespace) -> Run:
    """Watch in processes that are killed at random."""
    process = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        world = world_of(arguments)
        (folder / "time").write_text(f"{world.start:020.6f}")
        while not (folder / "done").exists():
            process += 1
            moment = float((folder / "time").read_text()) + 1
            job = subprocess.run(
                [sys.executable, __file__, *sys.argv[1:], "--child", name, "--start", str(moment),
                 "--process", str(process)],
                check=False,
            )  # fmt: skip
            if job.returncode not in (0, -signal.SIGKILL):
                raise SystemExit(f"process {process} ended with {job.returncode}")
            if process % 10 == 0:
                print(f"{process} processes, by {datetime.fromtimestamp(moment, ZONE)}", flush=True)
        lines = (folder / "handed").read_text().splitlines()
        handed: list[Handed] = []
        for line in lines:
            if line.endswith("}"):
                handed.append(of_json(json.loads(line)))  # noqa: PERF401
        with fast_forward(world.end + AFTER):
            world.catch_up()
            print(f"{process} processes, {process - 1} kills")
            world.requests = 0
            return world, handed, 0.0, [(world.start, world.end)]


def show(
    world: World,
    handed: list[Handed],
    watched: float,
    down: list[tuple[float, float]],
    every: float,
) -> Judgement:
    """Print the figures; delays are those of legs that ended while it ran, and could look."""
    out = [(begin - 2 * HOUR, end + HOUR / 2) for begin, end in world.outages]
    with fast_forward(world.end + AFTER):
        found = judge(world, handed, world.start, down=[*down, *out])
    print(f"{found.legs:,} legs, {found.handed:,} hand-overs: {dict(kinds(handed))}")
    print(
        f"missed {found.missed}, twice within a process {found.twice}, again after a crash "
        f"{found.again}"
    )
    if watched:
        print(
            f"{world.requests:,} requests in {watched / HOUR:.0f} h, {world.failed:,} failed: "
            f"{world.requests / watched * HOUR:.1f} an hour, "
            f"{world.requests / watched * every:.2f} an interval"
        )
    for tier, delays in found.delays.items():
        ways = quantiles(delays, n=20) if len(delays) > 1 else delays
        print(
            f"legs up to {tier:8} {len(delays):6,}: median {median(delays):6.0f} s, 95 % "
            f"{ways[-1]:6.0f} s, longest {max(delays):6.0f} s"
        )
    return found


def main() -> bool:
    """Run, and tell whether all is well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--calls", type=float, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rule", choices=["start", "end"], default="start")
    parser.add_argument("--faults", type=float, default=0.02)
    parser.add_argument("--restart", type=float, default=12, help="hours between two, on average")
    parser.add_argument("--every", type=float, default=30, help="seconds")
    parser.add_argument("--kill", action="store_true")
    parser.add_argument(
        "--kill-after", type=int, nargs=2, default=(1, 8), help="seconds of the processor"
    )
    parser.add_argument("--child")
    parser.add_argument("--start", type=float)
    parser.add_argument("--process", type=int)
    arguments = parser.parse_args()
    logging.disable()
    if arguments.child:
        child(arguments)
        return True
    began = time.perf_counter()
    world, handed, watched, down = (killed if arguments.kill else in_process)(arguments)
    found = show(world, handed, watched, down, arguments.every)
    print(f"{time.perf_counter() - began:.0f} s; {datetime.now(ZONE):%Y-%m-%d}")
    per_interval = world.requests / watched * arguments.every if watched else 0
    return found.missed == found.twice == 0 and per_interval <= 1.5


if __name__ == "__main__":
    sys.exit(not main())
