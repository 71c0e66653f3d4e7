"""Somebody who looks at a page: their session, what they may, their language, one transaction."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus

from fastapi import Request
from fastapi.responses import HTMLResponse

from clinician_api import trace
from clinician_api.errors import NoRoleError
from clinician_api.pages import navigation
from clinician_api.pages.times import Reader
from clinician_api.parts import Parts
from clinician_api.roles import Right, rights_of
from clinician_api.routes.cookies import LANGUAGE, SESSION
from clinician_api.services import sessions
from ingest_service.store.access import Session
from ingest_service.store.callers import Caller
from ingest_service.store.connections import Connection
from ingest_service.wording import catalogue
from ingest_service.wording.catalogue import Catalogue


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A request of somebody who is signed in and may do what they ask for.

    ``connection`` has a transaction open, in which the session was found; what is read in it is
    logged in it.
    """

    request: Request
    parts: Parts
    connection: Connection
    session: Session
    caller: Caller
    words: Catalogue
    now: datetime
    rights: frozenset[Right] = field(default_factory=frozenset[Right])

    @property
    def reader(self) -> Reader:
        """Return who reads: language, zone and time."""
        return Reader(self.words, self.parts.settings.timezone, self.now)

    def may(self, right: Right) -> bool:
        """Tell whether one of the session's roles gives a right."""
        return right in self.rights

    def render(self, template: str, **values: object) -> str:
        """Return a template's text with what every page has: head, navigation, languages."""
        return self.parts.templates.render(
            template,
            self.words,
            session=self.session,
            may={right.value for right in self.rights},
            navigation=navigation.entries(self.rights, self.request.url.path),
            zone=self.parts.settings.timezone.key,
            is_demo=self.parts.settings.demo,
            languages=[
                (each.code, each.locale.language_name) for each in self.parts.catalogues.values()
            ],
            **values,
        )

    def page(
        self,
        template: str,
        *,
        status: HTTPStatus = HTTPStatus.OK,
        headers: Mapping[str, str] | None = None,
        **values: object,
    ) -> HTMLResponse:
        """Return an answer made of a template."""
        return HTMLResponse(self.render(template, **values), status, dict(headers or {}))


@asynccontextmanager
async def visiting(
    request: Request, parts: Parts, right: Right, *, is_used: bool = True
) -> AsyncGenerator[Visit]:
    """Let somebody in who is signed in and may do this.

    Args:
        request: What was asked; its cookie names the session.
        parts: The application.
        right: What it needs.
        is_used: A person did something; a page that refreshes itself keeps nobody signed in.

    Raises:
        SignInNeededError: If nobody is signed in.
        NoRoleError: If whoever is has no role that gives the right.
    """
    now = parts.clock()
    async with parts.pool.connection() as connection:
        session = await sessions.find(
            connection, request.cookies.get(SESSION), parts.duration, now=now, is_used=is_used
        )
        rights = rights_of(session.roles)
        if right not in rights:
            raise NoRoleError(f"this needs a role that gives the right to {right.value}")
        yield Visit(
            request=request,
            parts=parts,
            connection=connection,
            session=session,
            caller=sessions.caller(session, trace_id=trace.current()),
            words=language_of(request, parts),
            now=now,
            rights=rights,
        )


def language_of(request: Request, parts: Parts) -> Catalogue:
    """Return the language that the request asks for."""
    return catalogue.choose(
        parts.catalogues,
        chosen=request.cookies.get(LANGUAGE),
        accepted=request.headers.get("accept-language"),
    )
