"""TLS with a throw-away authority: what must connect does, what must not is refused."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.uplink.spec import TlsSpec, UplinkSpec
from agent.uplink.tls import make_context
from tests.uplink.broker import Broker
from tests.uplink.conftest import MakeBroker
from tests.uplink.rig import running, until
from tests.uplink.samples import batch, event

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


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


async def ended(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve nothing: the handshake is all that is looked at."""
    with contextlib.suppress(OSError):
        await reader.read(1)
    await let_go(writer)


async def let_go(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


@asynccontextmanager
async def serving(handle: Handle, context: ssl.SSLContext) -> AsyncIterator[int]:
    """Listen on a port; at the end no connection is left, not even one whose handshake was under way."""
    async with asyncio.timeout(30), asyncio.TaskGroup() as handlers:

        def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            handlers.create_task(handle(reader, writer), name="connection")

        server = await asyncio.start_server(begin, "127.0.0.1", 0, ssl=context)
        async with server:
            yield server.sockets[0].getsockname()[1]
        await asyncio.sleep(0.05)


def server_of(ca: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*ca.issue("broker", "IP:127.0.0.1"))
    return context


async def test_the_protocol_asked_for_is_named_in_the_handshake(authority: MakeAuthority) -> None:
    ca = authority("own")
    context = server_of(ca)
    context.set_alpn_protocols(["h2", "x-amzn-mqtt-ca"])
    agreed: list[str | None] = []

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        agreed.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        await ended(reader, writer)

    async with serving(greet, context) as port:
        tls = TlsSpec(ca_file=ca.cert, alpn=("x-amzn-mqtt-ca",))
        async with running(port, spec=spec(port, tls)):
            await until(lambda: bool(agreed))
    assert set(agreed) == {"x-amzn-mqtt-ca"}


async def test_a_broker_that_only_speaks_tls_1_1_is_not_spoken_to(
    authority: MakeAuthority,
) -> None:
    ca = authority("own")
    willing = ssl.create_default_context(cafile=str(ca.cert))
    context = server_of(ca)
    for each in (context, willing):
        each.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1"):
            each.minimum_version = ssl.TLSVersion.TLSv1
        with pytest.warns(DeprecationWarning, match="TLSv1"):
            each.maximum_version = ssl.TLSVersion.TLSv1_1
    async with serving(ended, context) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=willing)
        assert writer.get_extra_info("ssl_object").version() == "TLSv1.1", "others do"
        await let_go(writer)
        async with running(port, spec=spec(port, TlsSpec(ca_file=ca.cert))) as rig:
            await until(lambda: bool(rig.links))
            assert "SSL" in rig.links[0][1]
            assert rig.uplink.stats().connects == 0


async def test_certificates_renewed_on_disk_serve_the_next_connection(
    make_broker: MakeBroker, authority: MakeAuthority, tmp_path: Path
) -> None:
    """As systemd hands them in: a folder of files that only the service may read."""
    ca = authority("own")
    credentials = tmp_path / "credentials"
    credentials.mkdir(mode=0o500)
    credentials.chmod(0o700)
    files = {name: credentials / f"box.{name}" for name in ("crt", "key")}

    def hand_in(cert: Path, key: Path) -> None:
        for name, source in (("crt", cert), ("key", key)):
            files[name].unlink(missing_ok=True)
            files[name].write_bytes(source.read_bytes())
            files[name].chmod(0o400)

    hand_in(*authority("other").issue("box", "DNS:b1"))
    broker = tls_broker(make_broker, ca, "require_certificate true")
    tls = TlsSpec(ca_file=ca.cert, cert_file=files["crt"], key_file=files["key"])
    async with running(broker.port, spec=spec(broker.port, tls)) as rig:
        await until(lambda: bool(rig.links))
        assert not rig.is_up, "of another authority"
        hand_in(*ca.issue("box", "DNS:b1"))
        await until(lambda: rig.is_up)
