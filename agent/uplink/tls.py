"""TLS towards the broker: always verified, TLS 1.2 or newer."""

from __future__ import annotations

import ssl

from agent.uplink.certificates import first_end_ms
from agent.uplink.spec import TlsSpec


def make_context(spec: TlsSpec) -> ssl.SSLContext:
    """Return a context that verifies the broker's certificate and name.

    Reads files, so not for the loop's thread; made anew for each connection, so that a renewed
    certificate is used without a restart. TLS 1.2 is the least (RFC 8996 retires 1.0 and 1.1).

    Raises:
        OSError: a file cannot be read, or holds no certificate or key (ssl.SSLError).
    """
    context = ssl.create_default_context(
        ssl.Purpose.SERVER_AUTH, cafile=None if spec.ca_file is None else str(spec.ca_file)
    )
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if spec.cert_file is not None:
        # A key with a passphrase would otherwise ask on the terminal and wait for ever.
        context.load_cert_chain(spec.cert_file, spec.key_file, password="")
    if spec.alpn:
        context.set_alpn_protocols(list(spec.alpn))
    return context


def own_ends_ms(spec: TlsSpec) -> dict[str, int]:
    """Return when the box's own certificate and its authorities' end (Unix ms).

    Raises:
        OSError: a file cannot be read.
        ValueError: it holds something else.
    """
    ends = {}
    for whose, path in (("box", spec.cert_file), ("authority", spec.ca_file)):
        if path is not None:
            end_ms = first_end_ms(path.read_text("ascii", errors="replace"))
            if end_ms is not None:
                ends[whose] = end_ms
    return ends
