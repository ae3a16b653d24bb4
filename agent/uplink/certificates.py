"""When certificates end: read from their DER, since the standard library shows only a peer's. Pure."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

_SEQUENCE, _VERSION, _UTC_TIME, _GENERALISED_TIME = 0x30, 0xA0, 0x17, 0x18
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


def first_end_ms(pem: str) -> int | None:
    """Return when the first of the certificates in `pem` ends (Unix ms); None where there is none.

    Raises:
        ValueError: it cannot be read.
    """
    ends = []
    for part in pem.split(_BEGIN)[1:]:
        body, marker, _ = part.partition(_END)
        if not marker:
            raise ValueError("a certificate without its end")
        ends.append(_not_after_ms(ssl.PEM_cert_to_DER_cert(_BEGIN + body + _END)))
    return min(ends, default=None)


def peer_end_ms(not_after: str) -> int:
    """Return the moment that `SSLSocket.getpeercert()` names as `notAfter` (Unix ms)."""
    return round(ssl.cert_time_to_seconds(not_after) * 1000)


def _not_after_ms(der: bytes) -> int:
    """Return notAfter of an X.509 certificate (RFC 5280 section 4.1).

    Certificate { tbsCertificate { [0] version?, serial, algorithm, issuer, validity { from, to } ... } }
    """
    certificate = _Der(der).enter(_SEQUENCE)
    body = certificate.enter(_SEQUENCE)
    if body.tag == _VERSION:
        body.skip()
    for _ in range(3):
        body.skip()
    validity = body.enter(_SEQUENCE)
    validity.skip()
    tag, content = validity.tag, validity.content().decode("ascii")
    if tag == _UTC_TIME:  # two digits: below 50 is 20xx (section 4.1.2.5.1)
        content = ("20" if int(content[:2]) < 50 else "19") + content
    elif tag != _GENERALISED_TIME:
        raise ValueError("a certificate without a time")
    moment = datetime.strptime(content, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


class _Der:
    """A run of DER values (X.690), read one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def tag(self) -> int:
        if self._at >= len(self._data):
            raise ValueError("a certificate cut short")
        return self._data[self._at]

    def content(self) -> bytes:
        """Return the next value's content and step over it."""
        head = self._at + 2
        if head > len(self._data):
            raise ValueError("a certificate cut short")
        length = self._data[self._at + 1]
        if length >= 0x80:  # the length of the length
            count = length & 0x7F
            length = int.from_bytes(self._data[head : head + count], "big")
            head += count
        self._at = head + length
        if self._at > len(self._data):
            raise ValueError("a certificate cut short")
        return self._data[head : self._at]

    def skip(self) -> None:
        self.content()

    def enter(self, tag: int) -> _Der:
        """Return the content of the next value, which must have this tag."""
        if self.tag != tag:
            raise ValueError("not an X.509 certificate")
        return _Der(self.content())
