"""The seam to gpiozero: claims, errors, guarded edges, and lgpio's side effects contained."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from drivers.errors import PortUnavailable, WiringConflict
from drivers.gpio.pins import MockPins, open_factory
from drivers.gpio.spec import Pull


@pytest.mark.parametrize(
    ("pin", "pull"), [(99, Pull.UP), (2, Pull.DOWN), (3, Pull.NONE)], ids=["none", "fixed", "fixed"]
)
def test_a_pin_that_cannot_do_what_is_asked_is_a_wiring_conflict(pin: int, pull: Pull) -> None:
    with pytest.raises(WiringConflict):
        MockPins().open().claim_input(pin, pull)


def test_a_pin_is_claimed_once() -> None:
    chip = MockPins().open()
    claimed = chip.claim_input(17, Pull.UP)
    with pytest.raises(WiringConflict):
        chip.claim_output(17, True)
    claimed.release()
    chip.claim_output(17, True)


@pytest.mark.parametrize(("pull", "rest"), [(Pull.UP, True), (Pull.DOWN, False)])
def test_an_undriven_input_follows_its_pull_and_a_driven_one_its_wire(
    pull: Pull, rest: bool
) -> None:
    pins = MockPins()
    claimed = pins.open().claim_input(17, pull)
    assert claimed.is_high() is rest
    pins.drive(22, not rest)
    assert pins.open().claim_input(22, pull).is_high() is not rest


def test_an_edge_callback_that_fails_silences_nobody(caplog: pytest.LogCaptureFixture) -> None:
    pins = MockPins()
    chip = pins.open()
    heard: list[str] = []

    def fail() -> None:
        raise RuntimeError("a bug")

    broken, sound = chip.claim_input(17, Pull.UP), chip.claim_input(22, Pull.UP)
    broken.watch(fail)
    sound.watch(lambda: heard.append("edge"))
    with caplog.at_level(logging.ERROR):
        pins.drive(17, False)
    pins.drive(22, False)
    assert heard == ["edge"]
    assert "edge callback" in caplog.text
    chip.close()
    pins.drive(22, True)
    assert heard == ["edge"], "after closing nobody is called"


def test_the_mock_refuses_pins_that_do_not_exist_and_outputs_driven_from_outside() -> None:
    pins = MockPins()
    with pytest.raises(ValueError, match="no pin"):
        pins.drive(400, True)
    with pytest.raises(ValueError, match="no pin"):
        pins.level(400)
    pins.open().claim_output(17, True)
    with pytest.raises(ValueError, match="output"):
        pins.drive(17, False)


def test_an_unplugged_mock_chip_cannot_be_opened_nor_read() -> None:
    pins = MockPins()
    claimed = pins.open().claim_input(17, Pull.UP)
    pins.unplug()
    with pytest.raises(PortUnavailable):
        claimed.is_high()
    with pytest.raises(PortUnavailable):
        pins.open()


def test_the_factory_opens_a_mock_by_name() -> None:
    assert open_factory("mock").claim_input(17, Pull.UP).is_high()


def test_lgpio_leaves_no_file_and_moves_nobody_and_a_missing_chip_is_unavailable(
    tmp_path: Path,
) -> None:
    pytest.importorskip("_lgpio")
    runtime = tmp_path / "run"
    work = tmp_path / "work"
    runtime.mkdir()
    work.mkdir()
    script = """
import os
from drivers.errors import PortUnavailable
from drivers.gpio.pins import open_factory
try:
    open_factory("lgpio", 3)
except PortUnavailable as error:
    assert error.source == "gpiochip3", error
else:
    raise SystemExit("opened a chip that is not there")
fifo = [os.readlink(f"/proc/self/fd/{each}") for each in range(3, 20)
        if os.path.lexists(f"/proc/self/fd/{each}")]
assert any(".lgd-nfy" in each for each in fifo), fifo
print(os.getcwd())
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=work,
        env={"RUNTIME_DIRECTORY": str(runtime), "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(work)
    assert list(work.iterdir()) == []
    assert list(runtime.iterdir()) == []
