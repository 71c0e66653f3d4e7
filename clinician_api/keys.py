"""The server's own key: signs bearer tokens, and what leaves the server and must come back."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey


class KeyFileError(OSError):
    """The key file cannot be read, or holds no key."""


class Keys:
    """An ES256 key and the secrets derived from it."""

    def __init__(self, key: ECKey) -> None:
        self.signing = key
        self._seed = msgspec.json.encode(key.as_dict(private=True)["d"])

    def secret(self, purpose: str) -> bytes:
        """Return the secret for one purpose; purposes cannot be told from one another."""
        return hashlib.blake2b(purpose.encode(), key=self._seed, digest_size=32).digest()


def create(path: Path) -> None:
    """Write a new key that only the owner of the file may read.

    Raises:
        FileExistsError: If there is a file already: replacing a key ends every token.
    """
    key = ECKey.generate_key("P-256", auto_kid=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(key.as_dict(private=True)))
        file.flush()
        os.fsync(file.fileno())


def load(path: Path) -> Keys:
    """Return the keys of a file that `create` wrote.

    Raises:
        KeyFileError: If there is none, others may read it, or it holds something else.
    """
    try:
        text = path.read_bytes()
        mode = path.stat().st_mode
    except OSError as error:
        raise KeyFileError(f"key file {path}: {error.strerror}") from error
    if mode & 0o077:
        raise KeyFileError(f"key file {path}: others may read it; it must have mode 0600")
    try:
        return Keys(ECKey.import_key(msgspec.json.decode(text, type=dict[str, str | list[str]])))
    except (msgspec.DecodeError, JoseError, ValueError, KeyError, TypeError) as error:
        raise KeyFileError(f"key file {path}: holds no EC key") from error
