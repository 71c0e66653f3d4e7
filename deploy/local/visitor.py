"""A nurse and an EHR system without a person: they use the same doors as everybody."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

import httpx

_TIMEOUT_S: Final = 10.0
_FHIR_JSON: Final = "application/fhir+json"


class VisitError(Exception):
    """A door did not open; the text says which."""


class Nurse:
    """Signs in at the stand-in provider and reads the worklist as the page's script does."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(
            base_url=url,
            follow_redirects=True,
            timeout=_TIMEOUT_S,
            event_hooks={"request": [self._add_cookies]},
        )

    def sign_in(self, subject: str) -> None:
        """Sign in as one of the provider's people.

        Raises:
            VisitError: If that does not end at the worklist.
        """
        form = self._http.get("/worklist")
        page = self._http.post(form.url, data={"sub": subject})
        if not page.is_success or page.url.path != "/worklist":
            raise VisitError(f"sign-in ended at {page.url.path} with status {page.status_code}")

    def close(self) -> None:
        """Leave."""
        self._http.close()

    def _add_cookies(self, request: httpx.Request) -> None:
        # As browsers do for loopback addresses: Secure cookies travel to them without TLS.
        jar = self._http.cookies.jar
        request.headers["Cookie"] = "; ".join(f"{each.name}={each.value}" for each in jar)

    def rows(self) -> str:
        """Return the moving part of the worklist, as HTML."""
        answer = self._http.get("/worklist/rows")
        if answer.status_code != HTTPStatus.OK:
            raise VisitError(f"the worklist answers {answer.status_code}")
        return answer.text


class Ehr:
    """Reads over FHIR with a bearer token."""

    def __init__(self, url: str, token: str) -> None:
        self._http = httpx.Client(
            base_url=f"{url}/fhir",
            headers={"Authorization": f"Bearer {token}", "Accept": _FHIR_JSON},
            timeout=_TIMEOUT_S,
        )

    def close(self) -> None:
        """Leave."""
        self._http.close()

    def observations(
        self, patient_id: str, code: str, *, since: datetime
    ) -> Sequence[dict[str, Any]]:
        """Return a patient's observations of one LOINC code since a time, newest first."""
        answer = self._http.get(
            "/Observation",
            params={
                "patient": patient_id,
                "code": f"http://loinc.org|{code}",
                "date": f"ge{since.isoformat()}",
                "_sort": "-date",
            },
        )
        if answer.status_code != HTTPStatus.OK:
            raise VisitError(f"Observation search answers {answer.status_code}: {answer.text}")
        return [entry["resource"] for entry in answer.json().get("entry", [])]

    def read(self, observation_id: str) -> dict[str, Any]:
        """Return one observation by its id."""
        answer = self._http.get(f"/Observation/{observation_id}")
        if answer.status_code != HTTPStatus.OK:
            raise VisitError(f"Observation read answers {answer.status_code}: {answer.text}")
        return answer.json()
