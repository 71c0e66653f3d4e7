"""Run ``python -m gateway.enrolment`` as ``hemvital-gateway enrol``, ``renew`` or ``retire``."""

from __future__ import annotations

import sys

from gateway.enrolment.command import main

sys.exit(main())
