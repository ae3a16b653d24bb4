"""A ledger and a few units that every test of the simulator starts from."""

from __future__ import annotations

import pytest

from agent.simulate.ledger import Ledger
from agent.simulate.slave import Block, Counter, SimUnit
from drivers.clock import SystemClock
from drivers.modbus.spec import Area


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(SystemClock())


@pytest.fixture
def units() -> tuple[SimUnit, ...]:
    return tuple(
        SimUnit(
            number,
            [
                Block(Area.COIL, 0, [1, 0, 1, 1, 0, 0, 0, 1, 1, 0], is_writable=True),
                Block(Area.DISCRETE, 0, [0, 1] * 10),
                Block(
                    Area.HOLDING, 0, [1000 * number + each for each in range(50)], is_writable=True
                ),
                Block(Area.INPUT, 0, [2000 * number + each for each in range(125)]),
                Counter(number, 100),
            ],
        )
        for number in (1, 7)
    )
