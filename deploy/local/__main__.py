"""Run ``python -m deploy.local``."""

from __future__ import annotations

import sys

from deploy.local.command import main

sys.exit(main())
