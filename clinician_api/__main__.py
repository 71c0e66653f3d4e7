"""Run ``python -m clinician_api`` as the command ``hemvital-api``."""

from __future__ import annotations

import sys

from clinician_api.command import main

sys.exit(main())
