"""Secrets come from outside the file and are never shown."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from agent.config.faults import ConfigError
from agent.config.last_good import keep, load_or_last_good
from agent.config.load import load_site

SECRET = "hunter2-never-shown"


def site_with(path: Path, password: str, more: str = "") -> Path:
    path.write_text(
        "version: 1\nsite: a\nbox: b\nuplinks:\n"
        f"  - {{id: c, host: 127.0.0.1, username: u, password: {password}}}\n{more}",
        "utf-8",
    )
    return path


@pytest.fixture
def credentials(tmp_path: Path) -> Path:
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "mqtt").write_text(SECRET + "\n", "utf-8")
    return folder


def test_a_credential_of_systemd_is_read_without_its_newline(
    tmp_path: Path, credentials: Path
) -> None:
    path = site_with(tmp_path / "site.yaml", "{secret: mqtt}")
    given = load_site(path, credentials_dir=credentials)
    named = load_site(path, env={"CREDENTIALS_DIRECTORY": str(credentials)})
    assert given.uplinks[0].password == named.uplinks[0].password == SECRET


def test_environment_and_files_are_read(tmp_path: Path, credentials: Path) -> None:
    path = tmp_path / "site.yaml"
    assert load_site(site_with(path, "{env: PW}"), env={"PW": SECRET}).uplinks[0].password == SECRET
    site = load_site(site_with(path, "{file: credentials/mqtt}"))
    assert site.uplinks[0].password == SECRET
    assert credentials.is_dir()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"x" * 65537, "is larger than 65536 bytes: not a secret"),
    ],
)
def test_a_secret_that_is_none_is_a_fault(
    tmp_path: Path, credentials: Path, content: bytes, why: str
) -> None:
    (credentials / "mqtt").write_bytes(content)
    with pytest.raises(ConfigError, match=why):
        load_site(site_with(tmp_path / "site.yaml", "{secret: mqtt}"), credentials_dir=credentials)


def test_a_credential_cannot_name_a_file_elsewhere(tmp_path: Path, credentials: Path) -> None:
    with pytest.raises(ConfigError, match="must be a plain name"):
        load_site(
            site_with(tmp_path / "site.yaml", "{secret: ../site.yaml}"), credentials_dir=credentials
        )


def test_a_loaded_site_shows_no_secret(
    tmp_path: Path, credentials: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    path = site_with(tmp_path / "site.yaml", "{secret: mqtt}")
    site, fault = load_or_last_good(
        path, data_dir=tmp_path / "data", credentials_dir=credentials, env={}
    )
    keep(site)
    assert fault is None
    assert site.uplinks[0].password == SECRET
    assert SECRET not in repr(site)
    assert SECRET not in str(site)
    assert SECRET not in caplog.text
    kept = [file for file in (tmp_path / "data").rglob("*") if file.is_file()]
    assert len(kept) >= 3
    assert not any(SECRET.encode() in file.read_bytes() for file in kept)


@pytest.mark.parametrize(
    "password",
    [
        SECRET,
        f"{{secrt: {SECRET}}}",
        f"[{SECRET}]",
        f"{{secret: mqtt, value: {SECRET}}}",
        f"{{env: '{SECRET} '}}",
    ],
)
def test_a_secret_written_where_it_does_not_belong_is_not_printed(
    tmp_path: Path, credentials: Path, password: str
) -> None:
    path = site_with(tmp_path / "site.yaml", password)
    with pytest.raises(ConfigError) as caught:
        load_site(path, credentials_dir=credentials, env={})
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value)
    assert SECRET not in repr(caught.value.faults)
    assert caught.value.__cause__ is None


def test_a_fault_elsewhere_does_not_print_a_secret(tmp_path: Path, credentials: Path) -> None:
    path = site_with(tmp_path / "site.yaml", "{secret: mqtt}", "local: {port: -1}\n")
    with pytest.raises(ConfigError) as caught:
        load_site(path, credentials_dir=credentials)
    assert SECRET not in repr(caught.value)
