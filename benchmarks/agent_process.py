"""A process under measurement: started, pinned to a core, sampled from /proc, and ended whatever happens."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.agent_plant import Plant

ROOT = Path(__file__).parents[1]
_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")
_STOP_S = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What a process had used at a moment (proc(5))."""

    at_s: float
    cpu_s: float
    """User and system time of all its threads."""
    written_bytes: int
    """Handed to the block layer."""
    busy_s: float
    """What all processes together had used of the core that is measured on."""
    switches: int
    """Voluntary context switches of all its threads: how often it was woken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What a process used between two samples."""

    seconds: float
    cpu_percent: float
    """Of one core."""
    others_percent: float
    """What other processes took of the same core meanwhile: with more than a few per cent, measure again."""
    written_bytes: int
    wakeups_per_s: float


class Measured:
    """A running process."""

    def __init__(
        self, process: asyncio.subprocess.Process, log_path: Path, started_s: float
    ) -> None:
        self.process = process
        self.log_path = log_path
        self.started_s = started_s
        """Loop time just before it was started."""

    def sample(self) -> Sample:
        """Return what it has used so far."""
        folder = Path("/proc") / str(self.process.pid)
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        io = dict(line.split(": ") for line in (folder / "io").read_text().splitlines())
        switches = 0
        for task in (folder / "task").iterdir():
            for line in (task / "status").read_text().splitlines():
                if line.startswith("voluntary_ctxt_switches"):
                    switches += int(line.split()[1])
        return Sample(
            at_s=asyncio.get_running_loop().time(),
            cpu_s=(int(fields[11]) + int(fields[12])) * _TICK_S,
            busy_s=_busy_s(cores()[1]),
            written_bytes=int(io["write_bytes"]),
            switches=switches,
        )

    def rss_mb(self) -> tuple[float, float]:
        """Return resident memory now and at its highest, 10^6 bytes."""
        status = (Path("/proc") / str(self.process.pid) / "status").read_text()
        kib = {
            line.split(":")[0]: int(line.split()[1])
            for line in status.splitlines()
            if line.startswith(("VmRSS", "VmHWM"))
        }
        return kib["VmRSS"] * 1024 / 1e6, kib["VmHWM"] * 1024 / 1e6

    async def until(self, news: asyncio.Event, limit_s: float = 20.0) -> None:
        """Wait for something it should bring about.

        Raises:
            AssertionError: it did not; with what the process said.
        """
        try:
            async with asyncio.timeout(limit_s):
                await news.wait()
        except TimeoutError:
            said = self.log_path.read_text("utf-8", "replace")[-2000:]
            raise AssertionError(f"nothing within {limit_s:g} s; it said:\n{said}") from None

    async def kill(self) -> None:
        """End it as a power cut would end it."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


def use(before: Sample, after: Sample) -> Use:
    """Return what was used in between."""
    seconds = after.at_s - before.at_s
    own_s = after.cpu_s - before.cpu_s
    return Use(
        seconds=seconds,
        cpu_percent=100 * own_s / seconds,
        others_percent=max(0.0, 100 * (after.busy_s - before.busy_s - own_s) / seconds),
        written_bytes=after.written_bytes - before.written_bytes,
        wakeups_per_s=(after.switches - before.switches) / seconds,
    )


def _busy_s(core: int) -> float:
    """Return the seconds a core has worked (proc_stat(5): user, nice, system, then idle, iowait, ...)."""
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith(f"cpu{core} "):
            ticks = [int(each) for each in line.split()[1:9]]
            return (sum(ticks) - ticks[3] - ticks[4]) * _TICK_S
    return 0.0


def cores() -> tuple[int, int]:
    """Return the core of the benchmark with its broker, and the one of what it measures."""
    # Those of our parent: our own are narrowed to the first of them by the first measurement.
    allowed = sorted(os.sched_getaffinity(os.getppid()))
    return allowed[0], allowed[-1]


@asynccontextmanager
async def started(
    words: Sequence[str], log_path: Path, *, core: int | None = None
) -> AsyncIterator[Measured]:
    """Run `python <words>` from the root of the repository; it is gone afterwards.

    Args:
        words: the module to run and its arguments.
        log_path: where its output is appended.
        core: the core it is pinned to.
    """
    started_s = asyncio.get_running_loop().time()
    with log_path.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *dies_with_us(),
            sys.executable,
            *words,
            cwd=ROOT,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        if core is not None:
            os.sched_setaffinity(process.pid, {core})
        yield Measured(process, log_path, started_s)
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(_STOP_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


def dies_with_us() -> tuple[str, ...]:
    """Return the prefix that lets the kernel end a process when the benchmark is killed, where there is one."""
    setpriv = shutil.which("setpriv")
    return () if setpriv is None else (setpriv, "--pdeathsig", "KILL", "--")


def agent_words(folder: Path, *, entry: Sequence[str] = ("-m", "agent")) -> tuple[str, ...]:
    """Return the words that run the agent on `folder/site.yaml`, with mock pins behind a door."""
    (folder / "run").mkdir(exist_ok=True)
    (folder / "pins").unlink(missing_ok=True)
    return (
        *entry,
        "run",
        "--config",
        str(folder / "site.yaml"),
        "--data",
        str(folder / "data"),
        "--run-dir",
        str(folder / "run"),
        "--pin-door",
        str(folder / "pins"),
    )


def obvious_words(plant: Plant, broker_port: int, path: Path) -> tuple[str, ...]:
    """Return the words that run the obvious design with its table in `path`."""
    size = plant.size
    numbers = (broker_port, size.registers, size.period_s, path, *plant.ports)
    return ("-m", "benchmarks.obvious", *map(str, numbers))


def folder_bytes(folder: Path) -> int:
    """Return the bytes allocated on disk below a folder."""
    if not folder.exists():
        return 0
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
