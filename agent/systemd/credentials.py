"""Secrets handed over by systemd (systemd.exec(5), CREDENTIALS): files only this service can read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

MOST_BYTES = 1_000_000
"""systemd's own limit is 1 MB for all credentials of a unit together."""


class CredentialUnreadable(Exception):
    """There is a credential of that name, but no usable text in it; the message holds none of it."""


def read_credential(name: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the text of a credential without its last line break; None where there is none.

    Blocks on a file in memory.

    Raises:
        CredentialUnreadable: not a plain name, no permission, too large or not UTF-8.
    """
    if not name or "/" in name or name in (".", ".."):
        raise CredentialUnreadable(f"{name!r} is not the name of a credential")
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return None
    path = Path(folder, name)
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CredentialUnreadable(f"credential {name}: {error.strerror}") from error
    if len(content) > MOST_BYTES:
        raise CredentialUnreadable(f"credential {name}: larger than {MOST_BYTES} bytes")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise CredentialUnreadable(f"credential {name}: not UTF-8") from None
    return text.removesuffix("\n").removesuffix("\r")
