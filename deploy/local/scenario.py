"""The demo's people and devices: two homes, and what is measured there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from deploy.local.home import Home, VirtualDevice
from deploy.local.platform import Plan, Staff

REGISTRATION: Final = Path(__file__).with_name("demo.json")
EHR_CLIENT: Final = "demo-ehr"


def _staff(subject: str, name: str, hsa_id: str, *roles: str) -> Staff:
    return Staff(
        subject=subject,
        name=name,
        hsa_id=f"SE0000000000-DEMO-{hsa_id}",
        unit_hsa_id="SE0000000000-DEMO-U1",
        unit_name="Hjärt- och lungmottagningen",
        roles=roles,
    )


NURSE: Final = _staff("nurse", "Demo Sjuksköterska", "N1", "nurse")
STAFF: Final = (
    NURSE,
    _staff("nurse-2", "Demo Sjuksköterska Två", "N2", "nurse"),
    _staff("physician", "Demo Läkare", "P1", "physician"),
    _staff("lead", "Demo Enhetschef", "L1", "unit_lead"),
    _staff("technician", "Demo Tekniker", "T1", "technician"),
    _staff("operator", "Demo Driftansvarig", "O1", "operator"),
    _staff("auditor", "Demo Loggranskare", "A1", "auditor"),
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
        staff=STAFF,
        ehr_client=EHR_CLIENT,
        workers=workers,
        has_canary=has_canary,
    )
