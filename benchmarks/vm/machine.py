"""The guest as a machine: started by QEMU's own processor emulation, cut off by ending QEMU with signal 9."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.agent_process import dies_with_us
from benchmarks.vm import promises
from benchmarks.vm.guest import Guest, run, sbin

DISK_BYTES = promises.BEGIN + promises.ROOM


def make_disk(
    disk: Path, fs_mib: int, *, has_journal: bool = True, content: Path | None = None
) -> None:
    """Make a data disk: an ext4 of so many MiB with the files of a folder, and room for promises behind it."""
    disk.unlink(missing_ok=True)
    with disk.open("wb") as file:
        file.truncate(DISK_BYTES)
    how = ["-E", "lazy_itable_init=0,lazy_journal_init=0"]
    if not has_journal:
        how = ["-O", "^has_journal"]
    if content is not None:
        how += ["-d", str(content)]
    run(sbin("mkfs.ext4"), "-q", "-F", *how, disk, f"{fs_mib}M")


def words_of_qemu(
    guest: Guest,
    disk: Path,
    log: Path,
    words: Sequence[str],
    *,
    mount_options: str = "defaults",
    cpus: int = 1,
    has_network: bool = False,
) -> list[str]:
    """Return the command line: `words` are what the guest is to do, `log` takes the writes to `disk`."""
    program = shutil.which("qemu-system-aarch64")
    if program is None:
        raise SystemExit("qemu-system-aarch64 is missing: sh benchmarks/vm/packages.sh installs it")
    files = "driver=file,cache.no-flush=on,filename"  # the host is not cut: only the log counts
    line = f"console=ttyAMA0 quiet panic=-1 data_options={mount_options} words={','.join(words)}"
    network = ["-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile="]
    return [
        "nice", "-n", "5", program,
        "-M", "virt,gic-version=3", "-accel", "tcg,thread=multi", "-cpu", "cortex-a53",
        "-m", "512", "-smp", str(cpus), "-nodefaults", "-display", "none", "-no-reboot",
        "-serial", "stdio", "-kernel", str(guest.kernel), "-initrd", str(guest.initrd), "-append", line,
        "-blockdev", f"driver=file,read-only=on,filename={guest.root},node-name=root",
        "-device", "virtio-blk-pci,drive=root",
        "-blockdev", f"{files}={disk},node-name=disk",
        "-blockdev", f"{files}={log},node-name=log",
        "-blockdev", "driver=blklogwrites,file=disk,log=log,log-sector-size=512,node-name=data",
        "-device", "virtio-blk-pci,drive=data,write-cache=on",
        *(network if has_network else []),
    ]  # fmt: skip


@asynccontextmanager
async def running(words: Sequence[str], console: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run QEMU; it is gone afterwards."""
    with console.open("ab") as said:
        process = await asyncio.create_subprocess_exec(
            *dies_with_us(), *words, stdin=asyncio.subprocess.DEVNULL, stdout=said, stderr=said
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def run_to_its_end(words: Sequence[str], console: Path, limit_s: float) -> None:
    """Let the guest do its work and power itself off.

    Raises:
        SystemExit: it did not; with the end of what it said.
    """
    async with running(words, console) as process:
        try:
            async with asyncio.timeout(limit_s):
                code = await process.wait()
        except TimeoutError:
            code = -1
    said = await asyncio.to_thread(console.read_text, "utf-8", "replace")
    if code or "work done" not in said:
        raise SystemExit(f"the guest did not end its work ({code}); it said:\n{said[-3000:]}")
