"""What runs in the guest, as its first process: `outbox SEED [SYNC]`, `stock SEED` or `agent [nosync]`.

Nothing is unmounted and nothing flushed at the end: the power goes off at once.
"""

from __future__ import annotations

import asyncio
import sys
import traceback
from pathlib import Path

from agent.outbox.files import Files
from benchmarks.outbox_cuts import Acknowledged, play_stock, run_outbox
from benchmarks.outbox_writes import Accepted, Act, Op, RecordingFiles, Sync, WriteLog
from benchmarks.vm.agent_inside import run_agent
from benchmarks.vm.promises import Promises, accepted, said, taken

DATA = Path("/data")
ROUND_S = 0.03
"""So that positions and acknowledgements keep step with a disk and a processor that are slow here."""
_OFF = Path("/proc/sysrq-trigger")


class PromisedLog(WriteLog):
    """Only the promises: the writes are in the log of the disk."""

    def __init__(self, promises: Promises) -> None:
        super().__init__()
        self._promises = promises

    def note(self, op: Op) -> None:
        """Write a promise down, forget the rest."""
        match op:
            case Op(act=Act.MARK, mark=Accepted() as key):
                self._promises.tell(accepted(key))
            case Op(act=Act.MARK, mark=Acknowledged(record)):
                self._promises.tell(taken(record))
            case Op(act=Act.MARK, mark=int() as number):
                self._promises.tell({"number": number})
            case _:
                pass


class SyncedFiles(RecordingFiles):
    """Syncs as the store wants them, but for the one left out."""

    def sync_data(self, fd: int) -> None:
        if self._left_out is not Sync.DATA:
            Files.sync_data(self, fd)
        super().sync_data(fd)

    def sync_file(self, fd: int) -> None:
        if self._left_out is not Sync.FILE:
            Files.sync_file(self, fd)
        super().sync_file(fd)

    def sync_directory(self, path: Path) -> None:
        if self._left_out is not Sync.DIRECTORY:
            Files.sync_directory(self, path)
        super().sync_directory(path)


def main() -> None:
    """Do what the kernel's command line asks for."""
    what, *rest = sys.argv[1:]
    promises = Promises()
    log = PromisedLog(promises)
    promises.tell(said("begin"))
    match what:
        case "outbox":
            root = DATA / "outbox"
            root.mkdir()
            seed, left_out = int(rest[0]), Sync[rest[1]] if rest[1:] else None
            files = SyncedFiles(root, log, left_out)
            asyncio.run(run_outbox(root, files, log, seed, ROUND_S))
        case "stock":
            play_stock(DATA / "db.json", log, int(rest[0]))
        case "agent":
            run_agent(promises, skips_sync=rest == ["nosync"])
        case _:
            raise SystemExit(f"{what}: nothing to be done here")
    promises.tell(said("end"))
    print("work done", flush=True)


if __name__ == "__main__":
    try:
        main()
    except BaseException:  # noqa: BLE001 - the first process may not end, and what happened must be read
        traceback.print_exc()
    sys.stdout.flush()
    _OFF.write_text("o")
    while True:
        asyncio.run(asyncio.sleep(1))
