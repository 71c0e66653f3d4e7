"""The gateway's half against the real server: files, repeats, causes, exit codes."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from deploy.local.services import Services
from gateway import settings
from gateway.enrolment import files, steps
from gateway.enrolment.command import main
from tests.support.enrolment import GRACE, VALIDITY, Enrolment, empty, enrolment_server
from tests.support.ingest import GATEWAY
from tests.support.services import Database, cloned

pytestmark = pytest.mark.timescale

DONE, FAILED, USAGE, NOT_YET, REFUSED, CLOCK = range(6)
# Debian's libfaketime, by its multiarch directory.
FAKETIME: Final = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))


@pytest.fixture(scope="module")
def shared(services: Services, migrated_template: Database) -> Generator[Database]:
    with cloned(services, migrated_template.name) as fresh:
        yield fresh


@pytest.fixture
def server(tmp_path: Path, shared: Database) -> Generator[Enrolment]:
    empty(shared)
    folder = tmp_path / "server"
    folder.mkdir()
    with enrolment_server(folder, shared) as running:
        yield running


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def enrol(server: Enrolment, state: Path, code: str, *more: str) -> int:
    return main(
        [
            *("enrol", code, "--server", server.url, "--state", str(state)),
            *("--authority", str(server.https_authority), "--clock", "trusted", *more),
        ]
    )


def renew(state: Path, *more: str) -> int:
    clock = ("--clock", "trusted", "--attempts", "1")
    return main(["renew", "--state", str(state), *clock, *more])


def serial(state: Path) -> str:
    return json.loads((state / "identity" / "gateway.pem.json").read_text())["serial"]


def test_enrolled_the_daemons_settings_lead_to_a_key_and_its_certificate(
    server: Enrolment, state: Path
) -> None:
    assert enrol(server, state, server.code(), "--timezone", "Europe/Helsinki") == DONE

    found = settings.load({}, state / "identity" / "settings.toml")
    assert (found.id, found.broker_host, found.broker_port) == (GATEWAY, "localhost", 8883)
    assert (found.state, found.timezone) == (state, "Europe/Helsinki")
    context = ssl.create_default_context(cafile=str(found.broker_authority))
    context.load_cert_chain(found.broker_certificate, found.broker_key)  # they belong together
    about = json.loads(Path(f"{found.broker_certificate}.json").read_text())
    certificate = x509.load_pem_x509_certificate(found.broker_certificate.read_bytes())
    assert int(about["serial"], 16) == certificate.serial_number
    assert datetime.fromisoformat(about["not_after"]) == certificate.not_valid_after_utc
    assert (about["gateway_id"], about["server"]) == (GATEWAY, server.url)
    assert oct(found.broker_key.stat().st_mode & 0o777) == "0o600"
    assert oct(found.broker_key.parent.stat().st_mode & 0o777) == "0o700"


def test_the_key_never_leaves_and_no_output_holds_the_code(
    server: Enrolment, state: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code = server.code()
    enrol(server, state, code)
    enrol(server, state / "other", code)  # refused: used

    key = (state / "identity" / "gateway.key").read_text()
    private = serialization.load_pem_private_key(key.encode(), None)
    assert private is not None
    kept = str(server.rows("SELECT row_to_json(gateway_certificate) FROM gateway_certificate"))
    printed = "".join(capfd.readouterr())
    assert "PRIVATE" not in kept + printed
    assert code not in printed


def test_an_answer_that_was_lost_is_had_again_with_the_same_code(
    server: Enrolment, state: Path
) -> None:
    # The server has issued, and the gateway was switched off before it could write.
    code = server.code()
    assert enrol(server, state, code) == DONE
    given = serial(state)
    (state / "identity").unlink()

    assert enrol(server, state, code) == DONE

    assert serial(state) == given


def test_a_renewal_brings_a_new_key_and_only_when_due(
    server: Enrolment, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    enrol(server, state, server.code())
    before, key = serial(state), (state / "identity" / "gateway.key").read_bytes()

    assert renew(state, "--if-due") == DONE
    assert "Not due" in capsys.readouterr().out
    assert serial(state) == before
    assert renew(state) == DONE
    assert serial(state) != before
    assert (state / "identity" / "gateway.key").read_bytes() != key
    assert len(list(state.glob("identity-*"))) == 1


@pytest.mark.parametrize(("left", "is_due"), [(31, False), (29, True)])
def test_a_renewal_is_due_when_a_third_of_90_days_is_left(
    server: Enrolment, state: Path, left: int, is_due: bool
) -> None:
    enrol(server, state, server.code())
    about = steps.read_about(state / "identity")

    assert steps.is_due(about, about.not_after - timedelta(days=left)) is is_due


def enrolled_long_ago(server: Enrolment, state: Path, ago: timedelta) -> None:
    """Enrol as if it were then, by the server's clock and the gateway's."""
    server.clock.offset = -ago
    now = server.clock
    code = server.code()
    server.rows(
        "UPDATE enrolment_code SET expires_at = now() + interval '1 day' RETURNING 1",
    )
    steps.enrol(
        state.resolve(),
        code,
        server=server.url,
        authority=server.https_authority,
        timezone="Europe/Stockholm",
        now=now,
    )
    server.clock.offset = timedelta()


def test_a_home_that_was_offline_beyond_the_end_renews_by_itself(
    server: Enrolment, state: Path
) -> None:
    state.mkdir()
    enrolled_long_ago(server, state, VALIDITY + GRACE - timedelta(days=1))
    old = steps.read_about(state / "identity")
    assert old.not_after < datetime.now(UTC)

    assert renew(state, "--if-due") == DONE

    assert steps.read_about(state / "identity").not_after > datetime.now(UTC)


def test_after_the_grace_period_it_is_refused_and_the_status_can_say_why(
    server: Enrolment, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state.mkdir()
    enrolled_long_ago(server, state, VALIDITY + GRACE + timedelta(days=1))

    assert renew(state, "--if-due") == REFUSED

    assert "must be enrolled anew" in capsys.readouterr().err
    failure = json.loads((state / "identity" / "renewal.json").read_text())
    assert failure["cause"] == "grace_over"


def test_revoked_is_told_and_what_there_is_stays(server: Enrolment, state: Path) -> None:
    enrol(server, state, server.code())
    before = serial(state)
    server.command("gateways", "revoke", GATEWAY, "--decided-by", "IT", "--reason", "lost")

    assert renew(state) == REFUSED

    assert serial(state) == before
    failure = json.loads((state / "identity" / "renewal.json").read_text())
    assert failure["cause"] == "certificate_revoked"


def test_a_renewal_that_succeeds_forgets_the_failure(server: Enrolment, state: Path) -> None:
    enrol(server, state, server.code())
    (state / "identity" / "renewal.json").write_text("{}")

    assert renew(state) == DONE

    assert not (state / "identity" / "renewal.json").exists()


def test_codes_that_do_not_hold(
    server: Enrolment, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = server.code()
    mistyped = ("1" if code[0] != "1" else "2") + code[1:]
    for typed, exit_code, says in (
        (mistyped, USAGE, "mistyped"),
        ("1000-0000-0000-0000-0006", REFUSED, "no such code was made here"),
        ("123", USAGE, "20 letters and digits"),
    ):
        assert enrol(server, state, typed) == exit_code
        assert says in capsys.readouterr().err
    assert files.current(state) is None


def test_a_clock_that_nobody_has_set_is_told_with_its_date(server: Enrolment, state: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "gateway.enrolment", "enrol", server.code()),
            *("--server", server.url, "--state", str(state), "--clock-wait", "0"),
        ],
        env={**os.environ, **faked("1970-01-01 00:00:00")},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == CLOCK
    assert "1970-01-01" in done.stderr


def faked(at: str) -> dict[str, str]:
    """Return the environment of a process whose clock begins there."""
    return {"LD_PRELOAD": str(FAKETIME), "FAKETIME": f"@{at}", "TZ": "UTC"}


@pytest.mark.parametrize(
    ("believed", "whose"),
    [("1970-01-01 00:00:00", "the server's"), ("2099-01-01 00:00:00", "the")],
)
def test_a_wrong_clock_is_shown_as_the_cause(
    server: Enrolment, state: Path, believed: str, whose: str
) -> None:
    # In 1970 TLS itself breaks. The test's HTTPS certificate still counts in 2099, so there it is
    # the gateway's new one that does not.
    done = subprocess.run(
        [
            *(sys.executable, "-m", "gateway.enrolment", "enrol", server.code()),
            *("--server", server.url, "--state", str(state), "--clock", "trusted"),
            *("--authority", str(server.https_authority)),
        ],
        env={**os.environ, **faked(believed)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == CLOCK, done.stderr
    assert f"This machine's clock says {believed[:10]}" in done.stderr
    assert f"; {whose} certificate" in done.stderr
    assert "valid from " in done.stderr
    assert files.current(state) is None


def test_what_is_in_the_way_is_told_apart(
    server: Enrolment, state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    port = server.url.rpartition(":")[2]
    own = str(server.https_authority)
    for url, authority, exit_code, says in (
        (server.url, str(other), NOT_YET, "[server_authority]"),
        (f"https://127.0.0.1:{port}", own, NOT_YET, "[server_name]"),
        ("https://localhost:1", own, NOT_YET, "[unreachable]"),
        ("https://no-such-host.invalid", own, NOT_YET, "[unreachable]"),
        (server.url.replace("https", "http"), own, USAGE, "an https:// address is needed"),
        ("nonsense", own, USAGE, "[usage]"),
        (server.url, str(tmp_path / "missing.pem"), USAGE, "missing.pem"),
    ):
        code = main(
            [
                *("enrol", server.code(), "--server", url, "--authority", authority),
                *("--state", str(state), "--clock", "trusted"),
            ]
        )
        told = capsys.readouterr().err
        assert says in told
        assert code == exit_code


@contextlib.contextmanager
def answering(folder: Path, answer: bytes) -> Generator[str]:
    """Be a server that answers whatever is asked with these bytes, once."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "https.pem", folder / "https.key")
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError):
                plain, _ = listening.accept()
                with context.wrap_socket(plain, server_side=True) as connection:
                    asked = b""
                    while not asked.endswith(b"}"):  # what is unread would reset the connection
                        asked += connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"https://localhost:{listening.getsockname()[1]}"
        thread.join(10)


def http(body: bytes, status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize(
    "case",
    [
        (http(b"<html>Sign in", "511 Network Authentication Required"), NOT_YET, "a sign-in"),
        (http(b"<html>", "302 Found"), NOT_YET, "[not_the_server]"),
        (http(b"<html>"), FAILED, "[answer_invalid]"),
        (http(b'{"gateway_id": 5}'), FAILED, "[answer_invalid]"),
        (http(b"x" * 200_000), FAILED, "longer than"),
        (b"garbage", NOT_YET, "[unreachable]"),
        (b"", NOT_YET, "[unreachable]"),
    ],
)
def test_what_is_no_answer_of_the_servers_changes_nothing(
    server: Enrolment,
    state: Path,
    capsys: pytest.CaptureFixture[str],
    case: tuple[bytes, int, str],
) -> None:
    answer, exit_code, says = case
    with answering(server.directory, answer) as url:
        code = main(
            [
                *("enrol", server.code(), "--server", url, "--state", str(state)),
                *("--authority", str(server.https_authority), "--clock", "trusted"),
            ]
        )
    told = capsys.readouterr().err
    assert (code, files.current(state)) == (exit_code, None), told
    assert says in told


def test_a_lost_network_is_not_yet_and_the_next_run_is_done(
    server: Enrolment, state: Path
) -> None:
    enrol(server, state, server.code())
    about = state / "identity" / "gateway.pem.json"
    url = server.url
    about.write_text(about.read_text().replace(url, "https://localhost:1"))

    assert renew(state) == NOT_YET
    assert json.loads((state / "identity" / "renewal.json").read_text())["cause"] == "unreachable"
    about.write_text(about.read_text().replace("https://localhost:1", url))
    assert renew(state) == DONE


def test_a_gateway_that_was_never_enrolled_says_what_to_do(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert renew(state) == FAILED
    assert "hemvital-gateway enrol CODE" in capsys.readouterr().err
