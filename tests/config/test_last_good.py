"""A bad edit never leaves a plant room unwatched: the last file that worked goes on."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from agent.config.faults import ConfigError
from agent.config.last_good import keep, keep_or_warn, load_or_last_good
from agent.config.load import LoadedSite, load_site

GOOD = "version: 1\nsite: riverside\nbox: plantroom-1\nzones: [{id: hall}]\n"
BETTER = GOOD.replace("hall", "roof")
BAD = "version: 1\nsite: River Side\nbox: plantroom-1\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "etc" / "site.yaml"
    path.parent.mkdir()
    path.write_text(GOOD, "utf-8")
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def load(path: Path, data: Path | None) -> tuple[LoadedSite, str | None]:
    """As the service does: load, run, and keep what loaded."""
    site, fault = load_or_last_good(path, data_dir=data, env={})
    if fault is None:
        keep_or_warn(site)
    return site, fault


def zone_of(site: LoadedSite) -> str:
    return next(iter(site.spec.labels))


def test_a_bad_file_runs_the_last_good_one_and_says_why(path: Path, data: Path) -> None:
    assert load(path, data)[1] is None
    path.write_text(BAD, "utf-8")
    site, fault = load(path, data)
    assert zone_of(site) == "hall"
    assert fault is not None
    assert fault.startswith(f"{path}:2:7: site: must be lowercase letters")


def test_the_newest_good_file_is_the_one_kept(path: Path, data: Path) -> None:
    load(path, data)
    path.write_text(BETTER, "utf-8")
    load(path, data)
    path.unlink()
    assert zone_of(load(path, data)[0]) == "roof"
    assert len([each for each in (data / "last-good").iterdir() if each.is_dir()]) == 1


def test_without_a_last_good_file_the_fault_is_raised(path: Path, data: Path) -> None:
    path.write_text(BAD, "utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path, data)
    assert [fault.path for fault in caught.value.faults] == ["", "site"]


def test_a_kept_file_that_was_damaged_is_not_used(path: Path, data: Path) -> None:
    load(path, data)
    (kept,) = (data / "last-good").rglob("site.yaml")
    kept.write_text(GOOD.replace("hall", "well"), "utf-8")
    path.write_text(BAD, "utf-8")
    with pytest.raises(ConfigError, match="the last good configuration is damaged"):
        load(path, data)


@pytest.mark.parametrize("wreck", ["", "{}", "[]", "\0"])
def test_a_wrecked_manifest_is_a_fault_not_a_crash(path: Path, data: Path, wreck: str) -> None:
    load(path, data)
    (manifest,) = (data / "last-good").rglob("manifest.json")
    manifest.write_text(wreck)
    path.write_text(BAD, "utf-8")
    with pytest.raises(ConfigError, match="damaged"):
        load(path, data)


def test_an_interrupted_keep_leaves_the_old_one(path: Path, data: Path) -> None:
    load(path, data)
    half = data / "last-good" / "0123456789abcdef"
    half.mkdir()
    (half / "site.yaml").write_text("version:")
    path.write_text(BAD, "utf-8")
    assert zone_of(load(path, data)[0]) == "hall"


def test_what_is_kept_already_is_not_written_again(path: Path, data: Path) -> None:
    site, _ = load(path, data)
    before = {file: file.stat().st_mtime_ns for file in data.rglob("*")}
    keep(site)
    assert {file: file.stat().st_mtime_ns for file in data.rglob("*")} == before


def test_a_disk_that_takes_nothing_stops_no_start(
    path: Path, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data.write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        site, fault = load(path, data)
    assert fault is None
    assert zone_of(site) == "hall"
    assert "could not be kept" in caplog.text


def test_secrets_named_relatively_are_still_found_beside_the_original(
    path: Path, data: Path
) -> None:
    (path.parent / "pw").write_text("x")
    uplink = "uplinks: [{id: c, host: h, password: {file: pw}}]\n"
    path.write_text(GOOD + uplink, "utf-8")
    load(path, data)
    path.write_text(BAD, "utf-8")
    assert load(path, data)[0].uplinks[0].password == "x"


def test_the_kept_file_loads_by_itself(path: Path, data: Path) -> None:
    load(path, data)
    (kept,) = (data / "last-good").rglob("site.yaml")
    assert zone_of(load_site(kept)) == "hall"


@pytest.mark.parametrize(
    ("paths", "wreck"),
    [
        ("paths: {{data: {data}}}\n", "site: River Side\n"),
        ("paths: {{run: /r, data: '{data}'}} # here\n", "\t- nothing\n"),
        ("paths: # ours\n  run: /r\n  # and\n  data: {data}\n", "a: [\n"),
    ],
)
def test_the_data_folder_is_found_in_a_file_that_is_no_yaml_any_more(
    path: Path, data: Path, paths: str, wreck: str
) -> None:
    text = GOOD + paths.format(data=data)
    path.write_text(text, "utf-8")
    assert load(path, None)[1] is None
    path.write_text(text + wreck, "utf-8")
    site, fault = load(path, None)
    assert fault is not None
    assert (zone_of(site), site.paths.data) == ("hall", data)
