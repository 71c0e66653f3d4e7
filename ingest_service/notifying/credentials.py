"""Secrets by name: files in one directory, read when they are needed.

Neither the database nor a setting holds one. A changed file is a renewed secret, without a
restart.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from ingest_service.notifying.errors import UnavailableError

NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_MOST_BYTES: Final = 4096


class Secrets:
    """The files of one directory; what systemd calls credentials is such a one."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def read(self, name: str) -> str:
        """Return a secret without the white space around it.

        Raises:
            UnavailableError: If it is missing, empty or not to be read. An operator can put that
                right while the telling is tried again.
        """
        if self._directory is None or not NAME.fullmatch(name):
            raise UnavailableError("secret_missing")
        try:
            with (self._directory / name).open("rb") as file:
                content = file.read(_MOST_BYTES + 1)
            text = content.decode("ascii").strip()
        except OSError:
            raise UnavailableError("secret_missing") from None
        except UnicodeDecodeError:
            raise UnavailableError("secret_unusable") from None
        if not text or len(content) > _MOST_BYTES:
            raise UnavailableError("secret_unusable")
        return text
