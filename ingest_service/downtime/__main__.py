"""Run as ``python -m ingest_service.downtime``: what ``hemvital-ingest downtime`` becomes."""

from __future__ import annotations

import sys

from ingest_service.downtime.command import main

sys.exit(main())
