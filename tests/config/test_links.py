"""A site whose description no uplink could send is told so by `check`."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config.faults import ConfigError
from agent.config.load import load_site

SITE = """\
version: 1
site: riverside
box: b1
buses: [{id: pins, type: gpio, chip: 0}]
inputs: [INPUTS]
uplinks: [{id: cloud, host: broker.example, max_payload_kib: KIB, sink: SINK}]
"""


def warnings_of(folder: Path, *, inputs: int, kib: int, sink: str = "native") -> list[str]:
    lines = ", ".join(
        f"{{id: in-{n}, bus: pins, pin: {n}, kind: leak, contact: normally-open}}"
        for n in range(2, 2 + inputs)
    )
    path = folder / "site.yaml"
    text = SITE.replace("INPUTS", lines).replace("KIB", str(kib)).replace("SINK", sink)
    path.write_text(text, "utf-8")
    site = load_site(path, data_dir=folder / "data", run_dir=folder)
    return [str(each) for each in site.warnings if "would not be sent" in str(each)]


@pytest.mark.parametrize("sink", ["native", "homeassistant"])
def test_a_description_over_the_largest_message_is_warned_of(tmp_path: Path, sink: str) -> None:
    warnings = warnings_of(tmp_path, inputs=24, kib=4, sink=sink)
    assert len(warnings) == 1, warnings
    (warning,) = warnings
    assert "uplinks[0].max_payload_kib" in warning
    assert "KiB and would not be sent" in warning


def test_one_that_fits_is_not(tmp_path: Path) -> None:
    assert not warnings_of(tmp_path, inputs=24, kib=128)
    assert not warnings_of(tmp_path, inputs=2, kib=128, sink="thingsboard")


def test_a_root_too_deep_for_any_topic_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    text = (
        SITE.replace("[INPUTS]", "[]")
        .replace("KIB", "128")
        .replace("SINK", "native, root: a/b/c/d/e")
    )
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match="too many levels"):
        load_site(path, data_dir=tmp_path / "data", run_dir=tmp_path)
