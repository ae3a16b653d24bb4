"""A Modbus TCP server in a process of its own, so that only the client is measured.

`python -m benchmarks.modbus_server --units 10`: prints its port, serves until its input ends.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agent.simulate.ledger import Ledger
from agent.simulate.slave import Block, SimUnit
from agent.simulate.tcp import TcpSlave
from drivers.clock import SystemClock
from drivers.modbus.spec import Area

REGISTERS = 10
_START_S = 20.0


def value_at(unit: int, address: int) -> int:
    """Return what a register holds."""
    return unit * 256 + address


@asynccontextmanager
async def server(units: int) -> AsyncIterator[int]:
    """Run a server of that many units; gives its port.

    Raises:
        TimeoutError: it does not start.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.modbus_server",
        "--units",
        str(units),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_START_S):
            line = await process.stdout.readline()
        yield int(line)
    finally:
        process.stdin.close()
        await process.wait()


async def _serve(units: int) -> None:
    blocks = {
        unit: Block(Area.HOLDING, 0, [value_at(unit, each) for each in range(REGISTERS)])
        for unit in range(1, units + 1)
    }
    slave = TcpSlave(
        [SimUnit(unit, [block]) for unit, block in blocks.items()], Ledger(SystemClock(), kept=1)
    )
    async with slave:
        print(slave.port, flush=True)
        await asyncio.to_thread(sys.stdin.read)


def main() -> None:
    """Serve until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--units", type=int, default=10)
    asyncio.run(_serve(parser.parse_args().units))


if __name__ == "__main__":
    main()
