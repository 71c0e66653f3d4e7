"""Where each program of a platform listens, and the settings that it is given."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path

from deploy.local import ports
from deploy.local.certificates import CANARY, INGEST, Authority
from deploy.local.home import TIMEZONE, Home, HomeFiles
from deploy.local.mosquitto import HOST
from deploy.local.services import Services
from deploy.local.state import State, write_private


class Environments:
    """Settings of every program, made of one installation's ports, files and passwords.

    A service is given its own database role and no other; `commands` is for the operator's
    commands, which may change the schema and what is registered.
    """

    def __init__(self, state: State, services: Services) -> None:
        self._state = state
        self._services = services
        self._ports: dict[str, int] = {}

    @property
    def url(self) -> str:
        """Where pages and FHIR are."""
        return f"http://localhost:{self.port('api')}"

    @property
    def issuer(self) -> str:
        """The stand-in for an OpenID provider."""
        return f"http://localhost:{self.port('sign-in')}"

    @property
    def api_key(self) -> Path:
        """The file that the API signs its tokens with."""
        return self._state.secrets / "api-key.json"

    def port(self, name: str) -> int:
        """Return a program's port: the one of the last time if it is still free."""
        if name not in self._ports:
            self._ports[name] = ports.keep(self._state.run / f"{name}.port")
        return self._ports[name]

    def monitoring(self, name: str) -> str:
        """Return where a program serves /metrics, /healthz and /readyz."""
        return f"http://127.0.0.1:{self.port(f'{name}-monitoring')}"

    def ingest(self, worker: str = "ingest", number: int = 1) -> Mapping[str, str]:
        """Return the settings of an ingest worker, and of the jobs."""
        database, broker = self._services.database, self._services.broker
        certificates = self._services.certificates
        return {
            "HEMVITAL_INGEST_DATABASE": database.dsn("hemvital_ingest"),
            "HEMVITAL_INGEST_JOBS_DATABASE": database.dsn("hemvital_jobs"),
            "HEMVITAL_INGEST_CLIENT_ID": f"ingest-{number}",
            "HEMVITAL_INGEST_HTTP_PORT": str(self.port(f"{worker}-monitoring")),
            "HEMVITAL_INGEST_JOBS_HTTP_PORT": str(self.port("jobs-monitoring")),
            "HEMVITAL_INGEST_CLOCK_HTTP_PORT": str(self.port("clock-monitoring")),
            **_broker("HEMVITAL_INGEST_", certificates.services, INGEST, broker.services_port),
        }

    def api(self) -> Mapping[str, str]:
        """Return the settings of the API and the pages."""
        return {
            "HEMVITAL_API_DATABASE": self._services.database.dsn("hemvital_api"),
            "HEMVITAL_API_PORT": str(self.port("api")),
            "HEMVITAL_API_MONITORING_PORT": str(self.port("api-monitoring")),
            "HEMVITAL_API_PUBLIC_URL": self.url,
            "HEMVITAL_API_KEY_FILE": str(self.api_key),
            "HEMVITAL_API_OIDC_ISSUER": self.issuer,
            "HEMVITAL_API_OIDC_CLIENT_SECRET": self._client_secret(),
            "HEMVITAL_API_DEMO": "true",
        }

    def canary(self) -> Mapping[str, str]:
        """Return the settings of the canary, which comes in as gateways do."""
        certificates, broker = self._services.certificates, self._services.broker
        return {
            "HEMVITAL_INGEST_CANARY_DATABASE": self._services.database.dsn("hemvital_canary"),
            "HEMVITAL_INGEST_CANARY_STATE": str(self._state.root / "canary"),
            "HEMVITAL_INGEST_CANARY_HTTP_PORT": str(self.port("canary-monitoring")),
            "HEMVITAL_INGEST_CANARY_PAGE_URL": f"{self.monitoring('api')}/canary",
            **_broker("HEMVITAL_INGEST_CANARY_", certificates.gateways, CANARY, broker.port),
        }

    def downtime(self) -> Mapping[str, str]:
        """Return the settings of whoever writes the downtime list."""
        return {
            "HEMVITAL_INGEST_DOWNTIME_DATABASE": self._services.database.dsn("hemvital_downtime"),
            "HEMVITAL_INGEST_DOWNTIME_DIRECTORY": str(self._state.root / "downtime"),
            "HEMVITAL_INGEST_DOWNTIME_HTTP_PORT": str(self.port("downtime-monitoring")),
        }

    def gateway(self, home: Home, files: HomeFiles) -> Mapping[str, str]:
        """Return the settings of a home's gateway."""
        certificates, broker = self._services.certificates, self._services.broker
        certificates.issue_gateway(home.gateway_id)
        port = self.port(f"{home.gateway_id}-monitoring")
        return {
            "HEMVITAL_GATEWAY_ID": home.gateway_id,
            "HEMVITAL_GATEWAY_STATE": str(files.gateway),
            "HEMVITAL_GATEWAY_DEVICES": ",".join(device.address for device in home.devices),
            "HEMVITAL_GATEWAY_TIMEZONE": TIMEZONE,
            "HEMVITAL_GATEWAY_HTTP_PORT": str(port),
            # The host answers for its clock here; a gateway at home asks the kernel.
            "HEMVITAL_GATEWAY_CLOCK": "trusted",
            "HEMVITAL_GATEWAY_COOL_DOWN_S": "1",
            **_broker("HEMVITAL_GATEWAY_", certificates.gateways, home.gateway_id, broker.port),
        }

    def commands(self) -> Mapping[str, str]:
        """Return the settings of the operator's commands: they own the schema."""
        owner = self._services.database.dsn("hemvital_owner")
        return {
            **self.ingest(),
            **self.api(),
            "HEMVITAL_INGEST_OWNER_DATABASE": owner,
            "HEMVITAL_INGEST_OPERATOR_DATABASE": self._services.database.dsn("hemvital_operator"),
            "HEMVITAL_API_OWNER_DATABASE": owner,
        }

    def _client_secret(self) -> str:
        """Return what the API shows the provider; the stand-in takes any, a real one would not."""
        file = self._state.secrets / "oidc-client"
        if not file.exists():
            write_private(file, secrets.token_urlsafe(32).encode())
        return file.read_text()


def _broker(prefix: str, authority: Authority, client: str, port: int) -> Mapping[str, str]:
    """Return how a client comes in by its door."""
    identity = authority.client(client)
    return {
        f"{prefix}BROKER_HOST": HOST,
        f"{prefix}BROKER_PORT": str(port),
        f"{prefix}BROKER_AUTHORITY": str(authority.certificate),
        f"{prefix}BROKER_CERTIFICATE": str(identity.certificate),
        f"{prefix}BROKER_KEY": str(identity.key),
    }
