"""The demo's people and devices: two homes, and what is measured there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from deploy.local.home import Home, VirtualDevice
from deploy.local.platform import Nurse, Plan

REGISTRATION: Final = Path(__file__).with_name("demo.json")
EHR_CLIENT: Final = "demo-ehr"
NURSE: Final = Nurse(
    subject="nurse",
    name="Demo Sjuksköterska",
    hsa_id="SE0000000000-DEMO-N1",
    unit_hsa_id="SE0000000000-DEMO-U1",
    unit_name="Hjärt- och lungmottagningen",
)
CUFF_1, CUFF_2, OXIMETER_2 = "F0:00:00:00:01:01", "F0:00:00:00:02:01", "F0:00:00:00:02:02"


def plan(
    cuff_1: Sequence[str],
    cuff_2: Sequence[str],
    oximeter_2: Sequence[str],
    *,
    workers: int = 1,
    has_canary: bool = False,
) -> Plan:
    """Return the platform of the demo's two homes, each device with its schedule."""
    return Plan(
        registration=REGISTRATION,
        units=[NURSE.unit_hsa_id],
        homes=[
            Home(
                gateway_id="gateway-1",
                devices=[
                    VirtualDevice(kind="cuff", name="cuff", address=CUFF_1, schedule=cuff_1),
                ],
            ),
            Home(
                gateway_id="gateway-2",
                devices=[
                    VirtualDevice(kind="cuff", name="cuff", address=CUFF_2, schedule=cuff_2),
                    VirtualDevice(
                        kind="oximeter", name="oximeter", address=OXIMETER_2, schedule=oximeter_2
                    ),
                ],
            ),
        ],
        nurses=[NURSE],
        ehr_client=EHR_CLIENT,
        workers=workers,
        has_canary=has_canary,
    )
