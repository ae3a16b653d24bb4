"""When certificates end, read by ourselves and by openssl alike; and what is told of it."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.uplink.certificates import first_end_ms, peer_end_ms
from agent.uplink.spec import TlsSpec
from drivers.clock import ClockState, SystemClock
from tests.uplink.broker import free_port
from tests.uplink.conftest import MakeBroker
from tests.uplink.rig import running, until
from tests.uplink.test_tls import MakeAuthority, authority, spec, tls_broker

__all__ = ["authority"]
DAY_MS = 86_400_000


def end_by_openssl(openssl: str, path: Path) -> int:
    said = subprocess.run(
        [openssl, "x509", "-in", str(path), "-noout", "-enddate"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return peer_end_ms(said.removeprefix("notAfter=").strip())


@pytest.mark.parametrize("days", [1, 700, 12_000, 40_000])  # UTCTime ends with 2049
def test_the_end_is_the_one_openssl_reads(
    need: Callable[[str], str], tmp_path: Path, days: int
) -> None:
    openssl = need("openssl")
    path = tmp_path / "a.crt"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", str(tmp_path / "a.key"), "-out", str(path), "-days", str(days),
         "-subj", "/CN=a"],
        check=True, capture_output=True,
    )  # fmt: skip
    assert first_end_ms(path.read_text("ascii")) == end_by_openssl(openssl, path)


def test_of_a_chain_the_first_end_counts(
    need: Callable[[str], str], tmp_path: Path, authority: MakeAuthority
) -> None:
    ca = authority("own")
    cert, _ = ca.issue("box", "DNS:box")
    ends = [end_by_openssl(need("openssl"), each) for each in (ca.cert, cert)]
    chain = "text before\n" + cert.read_text("ascii") + ca.cert.read_text("ascii")
    assert first_end_ms(chain) == min(ends)
    assert first_end_ms("no certificate") is None


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.binary(max_size=80))
def test_what_is_no_certificate_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        first_end_ms(ssl.DER_cert_to_PEM_cert(data))


async def test_an_end_that_is_near_is_told_with_whose_it_is(
    make_broker: MakeBroker, authority: MakeAuthority
) -> None:
    ca = authority("own")  # its certificates last for two days
    broker = tls_broker(make_broker, ca)
    clock = SystemClock()
    clock.state = ClockState.SYNCED
    told: list[tuple[bool, str]] = []
    tls = TlsSpec(ca_file=ca.cert)
    async with running(
        broker.port, clock=clock, spec=spec(broker.port, tls), certificates=told
    ) as rig:
        await until(lambda: rig.is_up)
        assert told[-1][0] is False
        assert "the certificate of the" in told[-1][1]
        ends_ms = rig.uplink.stats().certificate_ends_wall_ms
        assert ends_ms is not None
        assert abs(ends_ms - clock.stamp().wall_ms - 2 * DAY_MS) < DAY_MS
        assert rig.is_up, "the link itself is well"


@pytest.mark.parametrize(
    ("warn_days", "state"),
    [
        pytest.param(1, ClockState.SYNCED, id="not so near"),
        pytest.param(21, ClockState.UNSYNCED, id="without a clock nothing can be said"),
    ],
)
async def test_an_end_that_is_not_near_is_no_fault(
    make_broker: MakeBroker, authority: MakeAuthority, warn_days: int, state: ClockState
) -> None:
    ca = authority("own")
    broker = tls_broker(make_broker, ca)
    clock = SystemClock()
    clock.state = state
    told: list[tuple[bool, str]] = []
    tls = TlsSpec(ca_file=ca.cert, warn_days=warn_days)
    async with running(
        broker.port, clock=clock, spec=spec(broker.port, tls), certificates=told
    ) as rig:
        await until(lambda: rig.is_up)
        assert set(told) == {(True, "")}


async def test_the_boxes_own_end_is_told_while_the_broker_is_away(
    authority: MakeAuthority,
) -> None:
    ca = authority("own")
    cert, key = ca.issue("box", "DNS:box")
    clock = SystemClock()
    clock.state = ClockState.SYNCED
    told: list[tuple[bool, str]] = []
    tls = TlsSpec(ca_file=ca.cert, cert_file=cert, key_file=key)
    port = free_port()
    async with running(port, clock=clock, spec=spec(port, tls), certificates=told):
        await until(lambda: any(not is_good for is_good, _ in told))


async def test_a_box_proves_itself_with_its_certificate_and_alpn_is_sent(
    make_broker: MakeBroker, authority: MakeAuthority
) -> None:
    ca = authority("own")
    cert, key = ca.issue("b1", "DNS:b1")
    broker = tls_broker(
        make_broker, ca, "require_certificate true", "use_identity_as_username true"
    )
    tls = TlsSpec(ca_file=ca.cert, cert_file=cert, key_file=key, alpn=("mqtt",))
    async with running(broker.port, spec=spec(broker.port, tls)) as rig:
        await until(lambda: rig.is_up)
    bare = replace(tls, cert_file=None, key_file=None)
    async with running(broker.port, spec=spec(broker.port, bare)) as rig:
        await until(lambda: bool(rig.links))
        assert not rig.is_up
