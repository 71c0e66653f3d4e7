"""``python -m deploy.gateway``."""

from __future__ import annotations

import sys

from deploy.gateway.command import main

sys.exit(main())
