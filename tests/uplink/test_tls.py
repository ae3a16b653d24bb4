"""TLS with a throw-away authority: what must connect does, what must not is refused."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.uplink.spec import TlsSpec, UplinkSpec
from agent.uplink.tls import make_context
from tests.uplink.broker import Broker
from tests.uplink.conftest import MakeBroker
from tests.uplink.rig import running, until
from tests.uplink.samples import batch, event


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, openssl: str, folder: Path) -> None:
        folder.mkdir()
        self._openssl = openssl
        self._folder = folder
        self.cert = folder / "ca.crt"
        self._run(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", f"/CN={folder.name}",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        )  # fmt: skip

    def _run(self, *arguments: str) -> None:
        subprocess.run(
            [self._openssl, *arguments], cwd=self._folder, check=True, capture_output=True
        )

    def issue(self, name: str, alternative: str) -> tuple[Path, Path]:
        """Return certificate and key for a name."""
        self._run(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}",
        )  # fmt: skip
        (self._folder / "ext").write_text(
            f"subjectAltName={alternative}\nauthorityKeyIdentifier=keyid\n", "utf-8"
        )
        self._run(
            "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
            "-CAcreateserial", "-out", f"{name}.crt", "-days", "2", "-extfile", "ext",
        )  # fmt: skip
        return self._folder / f"{name}.crt", self._folder / f"{name}.key"


MakeAuthority = Callable[[str], Authority]


@pytest.fixture
def authority(need: Callable[[str], str], tmp_path: Path) -> MakeAuthority:
    openssl = need("openssl")
    return lambda name: Authority(openssl, tmp_path / name)


def tls_broker(
    make: MakeBroker, ca: Authority, *options: str, alternative: str = "IP:127.0.0.1"
) -> Broker:
    cert, key = ca.issue("broker", alternative)
    return make(f"cafile {ca.cert}", f"certfile {cert}", f"keyfile {key}", *options)


def spec(port: int, tls: TlsSpec) -> UplinkSpec:
    return UplinkSpec(id="cloud", host="127.0.0.1", port=port, tls=tls)


async def test_records_go_over_tls(make_broker: MakeBroker, authority: MakeAuthority) -> None:
    ca = authority("own")
    broker = tls_broker(make_broker, ca)
    async with running(broker.port, spec=spec(broker.port, TlsSpec(ca_file=ca.cert))) as rig:
        # Large enough that the decrypted rest of a record has to be asked for.
        rig.cursor.put(*(batch(n, count=200) for n in range(1, 60)), event(1))
        await until(lambda: rig.is_up)
        await until(lambda: rig.cursor.unsent() == 0)
        assert rig.is_up


@pytest.mark.parametrize(
    ("trusted", "alternative", "why"),
    [
        pytest.param("other", "IP:127.0.0.1", "CERTIFICATE_VERIFY_FAILED", id="wrong authority"),
        pytest.param("own", "DNS:elsewhere.example", "IP address mismatch", id="wrong host"),
        pytest.param(None, "IP:127.0.0.1", "CERTIFICATE_VERIFY_FAILED", id="system authorities"),
    ],
)
async def test_a_broker_that_cannot_prove_itself_gets_nothing(
    make_broker: MakeBroker,
    authority: MakeAuthority,
    trusted: str | None,
    alternative: str,
    why: str,
) -> None:
    authorities = {"own": authority("own"), "other": authority("other")}
    broker = tls_broker(make_broker, authorities["own"], alternative=alternative)
    ca_file = None if trusted is None else authorities[trusted].cert
    async with running(broker.port, spec=spec(broker.port, TlsSpec(ca_file=ca_file))) as rig:
        rig.cursor.put(event(1))
        await until(lambda: bool(rig.links))
        assert why in rig.links[0][1]
        assert rig.cursor.unsent() == 1
        assert rig.uplink.stats().connects == 0


async def test_a_client_certificate_is_shown_when_asked_for(
    make_broker: MakeBroker, authority: MakeAuthority
) -> None:
    ca = authority("own")
    broker = tls_broker(make_broker, ca, "require_certificate true")
    cert, key = ca.issue("box", "DNS:b1")
    with_cert = TlsSpec(ca_file=ca.cert, cert_file=cert, key_file=key)
    async with running(broker.port, spec=spec(broker.port, with_cert)) as rig:
        await until(lambda: rig.is_up)
    async with running(broker.port, spec=spec(broker.port, TlsSpec(ca_file=ca.cert))) as rig:
        await until(lambda: bool(rig.links))
        assert not rig.is_up


async def test_a_missing_certificate_file_is_told_and_retried(
    make_broker: MakeBroker, authority: MakeAuthority, tmp_path: Path
) -> None:
    ca = authority("own")
    broker = tls_broker(make_broker, ca)
    late = tmp_path / "late.crt"
    async with running(broker.port, spec=spec(broker.port, TlsSpec(ca_file=late))) as rig:
        await until(lambda: bool(rig.links))
        assert not rig.links[0][0]
        late.write_bytes(ca.cert.read_bytes())
        await until(lambda: rig.is_up)


async def test_plain_text_towards_a_tls_port_does_not_connect(
    make_broker: MakeBroker, authority: MakeAuthority
) -> None:
    broker = tls_broker(make_broker, authority("own"))
    async with running(broker.port) as rig:
        await until(lambda: bool(rig.links))
        assert not rig.is_up


def test_old_tls_and_unverified_peers_are_impossible(authority: MakeAuthority) -> None:
    context = make_context(TlsSpec(ca_file=authority("own").cert, alpn=("mqtt",)))
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
