"""Run as ``python -m ingest_service.canary``: what ``hemvital-ingest canary run`` becomes."""

from __future__ import annotations

import sys

from ingest_service.canary.command import main

sys.exit(main())
