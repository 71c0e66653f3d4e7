"""One alert: the pane that a nurse works in, and what she does to it, each a plain form."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Header, Request, Response
from fastapi.responses import RedirectResponse

from clinician_api.errors import BadRequestError, NotFoundError
from clinician_api.pages import alert as pages
from clinician_api.pages import refusals
from clinician_api.parts import Parts, PartsOf, SameOrigin
from clinician_api.roles import Right
from clinician_api.services import alerts
from clinician_api.visit import Visit, visiting
from ingest_service.admission import actions
from ingest_service.alerts.actions import (
    Action,
    Note,
    Pause,
    Release,
    Remeasure,
    Reopen,
    Resolve,
    Resume,
    Take,
    Undo,
)
from ingest_service.alerts.refusals import ActionError, UnknownAlertError

router = APIRouter()

# A script asks for the pane alone, to put it beside the list.
Fragment = Annotated[bool, Header(alias="X-Fragment")]

_MOST: Final = 4000

Text = Annotated[str, Form(max_length=_MOST)]


@router.get("/alerts/{alert_id}")
async def page(
    request: Request, parts: PartsOf, alert_id: UUID, *, x_fragment: Fragment = False
) -> Response:
    """Return an alert as a page of its own, or the pane alone."""
    async with visiting(request, parts, Right.READ) as visit:
        return await _pane(visit, alert_id, is_alone=x_fragment)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A form that somebody sent about an alert, whatever it asks for.

    ``action_id`` was made with the form: twice the same is done once. ``version`` is the alert's
    as they saw it.
    """

    request: Request
    parts: Parts
    alert_id: UUID
    action_id: UUID
    version: int
    is_fragment: bool


async def _asked(
    request: Request,
    parts: PartsOf,
    alert_id: UUID,
    action_id: Annotated[UUID, Form()],
    version: Annotated[int, Form(ge=1)],
    *,
    x_fragment: Fragment = False,
) -> Asked:
    return Asked(
        request=request,
        parts=parts,
        alert_id=alert_id,
        action_id=action_id,
        version=version,
        is_fragment=x_fragment,
    )


AskedOf = Annotated[Asked, Depends(_asked)]


@router.post("/alerts/{alert_id}/take", dependencies=[SameOrigin])
async def take(asked: AskedOf) -> Response:
    """See it and own it, in one."""
    return await _act(asked, Take())


@router.post("/alerts/{alert_id}/release", dependencies=[SameOrigin])
async def release(asked: AskedOf) -> Response:
    """Give it back, for anybody to take."""
    return await _act(asked, Release())


@router.post("/alerts/{alert_id}/pause", dependencies=[SameOrigin])
async def pause(
    asked: AskedOf, minutes: Annotated[int, Form(ge=1, le=72 * 60)], reason: Text
) -> Response:
    """Let it rest for so many minutes; how many it may, its priority says."""
    until = asked.parts.clock() + timedelta(minutes=minutes)
    return await _act(asked, Pause(until=until, reason=_written(reason)))


@router.post("/alerts/{alert_id}/resume", dependencies=[SameOrigin])
async def resume(asked: AskedOf) -> Response:
    """End its pause now."""
    return await _act(asked, Resume())


@router.post("/alerts/{alert_id}/remeasure", dependencies=[SameOrigin])
async def remeasure(asked: AskedOf) -> Response:
    """Ask the patient to measure again."""
    return await _act(asked, Remeasure())


@router.post("/alerts/{alert_id}/resolve", dependencies=[SameOrigin])
async def resolve(
    asked: AskedOf, outcome: Annotated[str, Form(max_length=64)], note: Text = ""
) -> Response:
    """End it, with what came of it and a note that is signed."""
    return await _act(asked, Resolve(outcome=outcome, note=note.strip()))


@router.post("/alerts/{alert_id}/reopen", dependencies=[SameOrigin])
async def reopen(asked: AskedOf, reason: Text) -> Response:
    """Open it again after all."""
    return await _act(asked, Reopen(reason=_written(reason)))


@router.post("/alerts/{alert_id}/undo", dependencies=[SameOrigin])
async def undo(asked: AskedOf) -> Response:
    """Take back one's own last action, within seconds."""
    return await _act(asked, Undo())


@router.post("/alerts/{alert_id}/note", dependencies=[SameOrigin])
async def note(asked: AskedOf, text: Text) -> Response:
    """Write something down; it is signed and never changed."""
    # It is about the patient, whatever has become of the alert meanwhile.
    return await _act(asked, Note(text=_written(text)), is_versioned=False)


async def _act(asked: Asked, action: Action, *, is_versioned: bool = True) -> Response:
    """Do it in a transaction of its own, then show the alert as it is, or say why it was not."""
    async with visiting(asked.request, asked.parts, Right.ACT) as visit:
        caller, now = visit.caller, visit.now
    alert_id, refused = asked.alert_id, None
    async with asked.parts.pool.connection() as connection:
        try:
            done = await actions.act(
                connection,
                caller,
                alert_id,
                action,
                action_id=asked.action_id,
                now=now,
                version=asked.version if is_versioned else None,
            )
            alert_id = done.alert.id
        except UnknownAlertError as error:
            raise NotFoundError("there is no such alert") from error
        except ActionError as error:
            refused = error
    if refused is None and not asked.is_fragment:
        return RedirectResponse(f"/alerts/{alert_id}", status_code=303)
    async with visiting(asked.request, asked.parts, Right.READ) as visit:
        return await _pane(visit, alert_id, refused=refused, is_alone=asked.is_fragment)


async def _pane(
    visit: Visit, alert_id: UUID, *, refused: ActionError | None = None, is_alone: bool
) -> Response:
    found = await alerts.read(visit.connection, visit.caller, alert_id, now=visit.now)
    pane = pages.pane(found, visit.reader, hsa_id=visit.session.hsa_id)
    return visit.page(
        "pane.html" if is_alone else "alert.html",
        status=HTTPStatus.OK if refused is None else HTTPStatus.CONFLICT,
        pane=pane,
        refusal="" if refused is None else refusals.told(refused, found.names, visit.reader),
    )


def _written(text: str) -> str:
    stripped = text.strip()
    if not stripped:
        raise BadRequestError("a reason or note is needed")
    return stripped
