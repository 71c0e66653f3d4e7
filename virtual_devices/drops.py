"""Links that a device drops at one step of a session, because it was asked to."""

# Bumble's GATT server leaves its attributes' values untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, get_args

from bumble import att
from bumble.core import UUID
from bumble.device import Connection
from bumble.gatt import GATT_CLIENT_CHARACTERISTIC_CONFIGURATION_DESCRIPTOR
from bumble.gatt_server import Server

logger = logging.getLogger(__name__)

#: ``connect``: as soon as the link is there. The next ones leave the host's request unanswered:
#: ``discovery``: the MTU or what the device serves; ``subscribe``; ``clock``: a read of Date Time;
#: ``read``: of anything else; ``request``: a write to the record access control point. Then
#: ``indication``: in place of a record's; ``before_confirmation``: the host has a value, and its
#: confirmation is lost; ``after_confirmation``: the device has noted that a record is given;
#: ``answer``: in place of the control point's.
Point = Literal[
    "connect",
    "discovery",
    "subscribe",
    "clock",
    "read",
    "request",
    "indication",
    "before_confirmation",
    "after_confirmation",
    "answer",
]
POINTS: Final[tuple[Point, ...]] = get_args(Point)

_DATE_TIME: Final = UUID("2A08")
_CONTROL_POINT: Final = UUID("2A52")
_DISCOVERY: Final = (
    att.ATT_Exchange_MTU_Request,
    att.ATT_Read_By_Group_Type_Request,
    att.ATT_Read_By_Type_Request,
    att.ATT_Find_By_Type_Value_Request,
    att.ATT_Find_Information_Request,
)


@dataclass(slots=True)
class Drop:
    """One link to drop, when its point has been reached so many times more.

    ``away_s``: for so long the device is off the air then, without a word; ``None``: it hangs up.
    """

    left: int
    away_s: float | None


class Drops:
    """What is still to be dropped; each is used once, and those for one point in turn."""

    def __init__(self) -> None:
        self._planned: dict[Point, deque[Drop]] = {}

    def plan(self, point: Point, drop: Drop) -> None:
        """Drop a link at this point, counted from now on."""
        self._planned.setdefault(point, deque()).append(drop)

    def reach(self, point: Point) -> Drop | None:
        """Note that a point was reached, and return what is due there."""
        planned = self._planned.get(point)
        if not planned:
            return None
        planned[0].left -= 1
        if planned[0].left > 0:
            return None
        logger.info("link dropped, as asked", extra={"point": point})
        return planned.popleft()

    def watch(self, server: Server, drop: Callable[[Connection, Drop], None]) -> None:
        """Take no notice of what a host says, and call ``drop``, where a link is to be dropped."""
        answer = server.on_gatt_pdu

        def answer_unless_due(bearer: att.Bearer, att_pdu: att.ATT_PDU) -> None:
            point = _point_of(att_pdu, server)
            due = self.reach(point) if point else None
            if due is not None and isinstance(bearer, Connection):
                drop(bearer, due)
            else:
                answer(bearer, att_pdu)

        server.on_gatt_pdu = answer_unless_due


def _point_of(pdu: att.ATT_PDU, server: Server) -> Point | None:
    """Return at which point a session is where the host asks this."""
    if isinstance(pdu, _DISCOVERY):
        return "discovery"
    if isinstance(pdu, att.ATT_Handle_Value_Confirmation):
        return "before_confirmation"
    if not isinstance(pdu, att.ATT_Read_Request | att.ATT_Write_Request):
        return None
    attribute = server.get_attribute(pdu.attribute_handle)
    kind = attribute.type if attribute else None
    if isinstance(pdu, att.ATT_Read_Request):
        return "clock" if kind == _DATE_TIME else "read"
    if kind == GATT_CLIENT_CHARACTERISTIC_CONFIGURATION_DESCRIPTOR:
        return "subscribe"
    return "request" if kind == _CONTROL_POINT else None
