"""Where secrets come from: systemd credentials, the environment, or files. Never the site file.

Nothing here prints, logs or puts into an error what it read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from agent.config.model_site import (
    CredentialModel,
    EnvironmentModel,
    SecretFileModel,
)

MOST_BYTES = 64 * 1024
"""More than any password or token has; a wrong path may name anything."""


class SecretMissing(Exception):
    """A secret is not where the site file says; the message tells where that is, never what."""


def read_secret(
    where: CredentialModel | EnvironmentModel | SecretFileModel,
    *,
    env: Mapping[str, str],
    credentials_dir: Path | None,
    folder: Path,
) -> str:
    """Return a secret; one newline at its end is not part of it.

    Relative files begin at `folder`.

    Raises:
        SecretMissing: it is not there, empty, or cannot be read.
    """
    if isinstance(where, EnvironmentModel):
        secret = env.get(where.env, "")
        if not secret:
            raise SecretMissing(f"the environment variable {where.env} is not set")
        return secret
    if isinstance(where, SecretFileModel):
        return _from_file(folder / where.file, f"the file {folder / where.file}")
    directory = credentials_dir or _directory(env)
    if directory is None:
        raise SecretMissing(
            f"no credential '{where.secret}': this process was given none (systemd LoadCredential="
            f"{where.secret}:/path sets $CREDENTIALS_DIRECTORY)"
        )
    return _from_file(directory / where.secret, f"the credential '{where.secret}' in {directory}")


def _directory(env: Mapping[str, str]) -> Path | None:
    named = env.get("CREDENTIALS_DIRECTORY", "")
    return Path(named) if named else None


def _from_file(path: Path, what: str) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise SecretMissing(f"{what} is not there") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise SecretMissing(f"{what} cannot be read: {reason}") from None
    if len(content) > MOST_BYTES:
        raise SecretMissing(f"{what} is larger than {MOST_BYTES} bytes: not a secret")
    try:
        secret = content.decode("utf-8")
    except UnicodeDecodeError:
        raise SecretMissing(f"{what} is not UTF-8 text") from None
    secret = secret.removesuffix("\n").removesuffix("\r")
    if not secret:
        raise SecretMissing(f"{what} is empty")
    return secret
