"""Whole power cuts: a small arm64 machine with the real agent under load, cut off and started again on the same disk.

`python -m benchmarks.vm.whole_cuts [--cuts 20]`. In the guest runs `plantroom run` with write-through and a contact
that never rests; units, broker and the proxy that reads every PUBACK are outside. At a random moment QEMU is
killed, and of what the guest's disk had not flushed each write is lost, kept or torn at random (the cache model
of benchmarks.vm.write_log). The next start is on that disk. During every other life the broker is out of reach.
At the end all that was promised must be at the broker, and its consumer must agree with the event log on that disk.
The same with a store whose fdatasync only claims to happen must lose: else the run proves nothing. Returns 1 when
either is not so.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from agent.simulate.broker import run_broker
from agent.simulate.proxy import LinkState, TcpProxy
from benchmarks.agent_plant import BOX, Plant, PlantSize, site_text
from benchmarks.outbox_kills import Result, Witness, until
from benchmarks.outbox_writes import Accepted, Model
from benchmarks.vm import promises
from benchmarks.vm.agent_inside import FIRST
from benchmarks.vm.guest import Guest, build
from benchmarks.vm.judged import take_out
from benchmarks.vm.machine import make_disk, running, words_of_qemu
from benchmarks.vm.write_log import Disk, read_log

FS_MIB = 32
SIZE = PlantSize(units=2, registers=10, period_s=0.5)
HOST = "10.0.2.2"
"""The host's loopback as the guest sees it."""
START_S = 180.0
"""Longer than the emulated machine takes from power to a record on disk when the host is busy."""
LIFE_S = 8.0
DRAIN_S = 180.0
CONTROL_CUTS = 3


async def cut_often(
    guest: Guest, cuts: int, seed: int, folder: Path, *, skips_sync: bool
) -> Result:
    """Cut and start again so often, then let everything out and count."""
    dice = random.Random(seed)
    result, witness = Result(kills=cuts), Witness()
    accepted: set[Accepted] = set()
    heard: set[Accepted] = set()
    disk, log, console = (folder / each for each in ("disk", "log", "console"))
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(run_broker())
        plant = await stack.enter_async_context(Plant(SIZE))
        link = await stack.enter_async_context(
            TcpProxy(broker.host, broker.port, record=witness.tap.record)
        )
        _first_disk(folder, disk, plant, link.port)
        loop = asyncio.get_running_loop()
        for number in range(cuts + 1):
            is_last = number == cuts
            await link.set_state(LinkState.CUT if number % 2 and not is_last else LinkState.PASS)
            log.write_bytes(b"")
            console.write_bytes(b"")
            before = disk.read_bytes()[: FS_MIB * 1024 * 1024]
            words = words_of_qemu(
                guest, disk, log, ("agent", *(["nosync"] if skips_sync else [])), cpus=2, has_network=True
            )  # fmt: skip
            began_s = loop.time()
            async with running(words, console) as machine:
                is_up = await until(lambda: FIRST in _tail(console), START_S)
                result.slowest_start_s = max(result.slowest_start_s, loop.time() - began_s)
                result.starts_failed += not is_up
                if not is_up:
                    result.notes.append(f"life {number + 1}: {_tail(console)}")
                if is_last:
                    await plant.fall_silent()
                    await until(partial(_has_all, witness, accepted, log), DRAIN_S)
                    accepted |= _promised(log)
                    heard = set(witness.acknowledged)
                else:
                    await asyncio.sleep(dice.uniform(0.0, LIFE_S))
                machine.kill()
            if not is_last:
                accepted |= _promised(log)
                _cut(disk, before, log, dice)
            witness.twice.life_ended(console.read_text("utf-8", "replace"))
            told = (
                f"life {number + 1}, {loop.time() - began_s:.0f} s: {len(accepted)} promised so far"
            )
            print(told, file=sys.stderr, flush=True)
    result.count(accepted, heard, witness)
    take_out(disk, "outbox", folder / "out")
    result.compare(folder / "out/outbox" / BOX, witness)
    return result


def _first_disk(folder: Path, disk: Path, plant: Plant, broker_port: int) -> None:
    content = folder / "content"
    content.mkdir()
    text = site_text(SIZE, modbus_ports=plant.ports, broker_port=broker_port, commit_interval_s=0)
    (content / "site.yaml").write_text(text.replace("127.0.0.1", HOST), "utf-8")
    make_disk(disk, FS_MIB, content=content)


def _tail(console: Path) -> str:
    return console.read_text("utf-8", "replace")[-4000:]


def _has_all(witness: Witness, accepted: set[Accepted], log: Path) -> bool:
    return accepted | _promised(log) <= witness.acknowledged


def _promised(log: Path) -> set[Accepted]:
    """Return the records whose promise is in a log."""
    found = (
        promises.meant(promises.read(each.data))
        for each in read_log(log)
        if each.offset >= promises.BEGIN
    )
    return {each for each in found if isinstance(each, Accepted)}


def _cut(disk: Path, before: bytes, log: Path, dice: random.Random) -> None:
    """Leave on the disk what a cut at the end of the log may leave."""
    medium = Disk(before)
    medium.take(read_log(log))
    with disk.open("r+b") as file:
        file.write(medium.cut(Model.CACHE, dice))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cuts", type=int, default=20)
    parser.add_argument("--controls", type=int, default=CONTROL_CUTS)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    guest = build()
    results = []
    for cuts, skips_sync in ((options.cuts, False), (options.controls, True)):
        with tempfile.TemporaryDirectory(prefix="plantroom-vm-") as folder:
            result = asyncio.run(
                cut_often(guest, cuts, options.seed, Path(folder), skips_sync=skips_sync)
            )
        print("without the sync of records:" if skips_sync else "the agent as it is:")
        result.print()
        results.append(result)
    ours, control = results
    sys.exit(0 if ours.is_good and not control.is_good else 1)


if __name__ == "__main__":
    main()
