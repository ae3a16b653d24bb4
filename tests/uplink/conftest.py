from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.uplink.broker import Broker

MakeBroker = Callable[..., Broker]


@pytest.fixture
def make_broker(need: Callable[[str], str], tmp_path: Path) -> Iterator[MakeBroker]:
    """Start mosquittos with given configuration lines; all are ended with the test."""
    program = need("mosquitto")
    made: list[Broker] = []

    def make(*options: str) -> Broker:
        broker = Broker(program, tmp_path, *options)
        made.append(broker)
        broker.start()
        return broker

    yield make
    for broker in made:
        broker.stop()


@pytest.fixture
def broker(make_broker: MakeBroker) -> Broker:
    """A mosquitto that takes everything."""
    return make_broker()


@pytest.fixture
def broker_port(broker: Broker) -> int:
    """The port of it."""
    return broker.port
