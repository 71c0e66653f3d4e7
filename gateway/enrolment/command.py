"""``hemvital-gateway enrol``, ``renew`` and ``retire``: this gateway's certificate."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential_jitter,
)

from device_adapters.contract.enrolment import CodeError, read_code
from gateway.clock import ClockSource, SystemClock, source_of_this_machine
from gateway.enrolment import files, steps
from gateway.enrolment.answers import About
from gateway.enrolment.failures import ClockError, EnrolmentError, Exit
from gateway.enrolment.files import InUseError
from gateway.enrolment.keys import KeyFileError
from gateway.enrolment.retiring import retire

_STATE: Final = Path("/var/lib/hemvital-gateway")
_CLOCK_S: Final = 120
_POLL_S: Final = 1.0
_TOLD_S: Final = 10.0
_ATTEMPTS: Final = 4
_FIRST_WAIT_S: Final = 2.0
_LAST_WAIT_S: Final = 60.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code, one of `Exit`."""
    arguments = _parser().parse_args(argv)
    work: Callable[[argparse.Namespace], None] = arguments.work
    try:
        work(arguments)
    except CodeError as error:
        print(f"{error}.".capitalize(), file=sys.stderr)
        return Exit.USAGE
    except EnrolmentError as error:
        print(f"{error} [{error.cause}]", file=sys.stderr)
        return Exit.USAGE if error.cause == "usage" else error.exit
    except InUseError as error:
        print(error, file=sys.stderr)
        return Exit.NOT_YET
    except (OSError, KeyFileError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return Exit.FAILED
    return Exit.DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hemvital-gateway",
        description="This gateway's certificate.",
        epilog="Exit codes: 0 done or nothing to do, 1 failed, 2 usage or a mistyped code, 3 not "
        "yet possible, 4 refused by the server, 5 the clock is not set.",
    )
    commands = parser.add_subparsers(required=True)
    enrol = commands.add_parser("enrol", help="get a certificate for a one-time code")
    enrol.add_argument("code", help="as it was given; hyphens and case do not matter")
    enrol.add_argument("--server", required=True, metavar="URL", help="https://…")
    enrol.add_argument("--authority", type=Path, metavar="FILE", help="trusted for the server")
    enrol.add_argument("--timezone", default="Europe/Stockholm", help="the home's")
    enrol.set_defaults(work=_enrol)
    renew = commands.add_parser("renew", help="get a new certificate by the one there is")
    renew.add_argument("--if-due", action="store_true", help="only if a third of its life is left")
    renew.add_argument("--attempts", type=int, default=_ATTEMPTS, help="while not yet possible")
    renew.set_defaults(work=_renew)
    for command in (enrol, renew):
        command.add_argument("--clock", type=ClockSource, default=source_of_this_machine())
        command.add_argument("--clock-wait", type=int, default=_CLOCK_S, metavar="SECONDS")
    leave = commands.add_parser("retire", help="make a box that goes back empty")
    leave.add_argument("--force", action="store_true", help="lose what was not delivered")
    leave.set_defaults(work=_retire)
    for command in (enrol, renew, leave):
        command.add_argument("--state", type=Path, default=_STATE, metavar="DIR")
    return parser


def _enrol(arguments: argparse.Namespace) -> None:
    state: Path = arguments.state.resolve()
    code = read_code(arguments.code)
    try:
        ZoneInfo(arguments.timezone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        text = f"--timezone {arguments.timezone}: not a known zone."
        raise EnrolmentError(text, "usage") from error
    with files.alone(state):
        _wait_for_clock(arguments)
        about = steps.enrol(
            state,
            code,
            server=arguments.server,
            authority=arguments.authority,
            timezone=arguments.timezone,
            now=_now,
        )
    print(f"Enrolled as {about.gateway_id}. {_until(about)}")
    print(f"Settings: {state / files.LINK / files.SETTINGS}")


def _renew(arguments: argparse.Namespace) -> None:
    state: Path = arguments.state.resolve()
    about = steps.read_about(steps.enrolled(state))
    if arguments.if_due and not steps.is_due(about, _now()):
        print(f"Not due. {_until(about)}")
        return
    with files.alone(state):
        try:
            _wait_for_clock(arguments)
            renewed = _attempts(arguments.attempts)(lambda: steps.renew(state, now=_now))
        except EnrolmentError as error:
            steps.note_failure(state, error, _now())
            raise
    print(f"Renewed. {_until(renewed)} The gateway takes it within seconds.")


def _attempts(most: int) -> Retrying:
    """Return how often it is tried: homes that lost the network together come back together."""

    def is_worth_it(error: BaseException) -> bool:
        return isinstance(error, EnrolmentError) and error.exit is Exit.NOT_YET

    def tell(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        print(f"{error} Trying again in {state.upcoming_sleep:.0f} s.", file=sys.stderr)

    return Retrying(
        retry=retry_if_exception(is_worth_it),
        stop=stop_after_attempt(max(most, 1)),
        wait=wait_exponential_jitter(multiplier=_FIRST_WAIT_S, max=_LAST_WAIT_S),
        before_sleep=tell,
        reraise=True,
    )


def _retire(arguments: argparse.Namespace) -> None:
    state: Path = arguments.state.resolve()
    if not state.is_dir():
        raise EnrolmentError(f"{state}: no such directory.", "usage")
    with files.alone(state):
        retire(state, is_forced=arguments.force)
    print("Key, certificate and readings are removed. Have the gateway revoked at the server.")


def _wait_for_clock(arguments: argparse.Namespace) -> None:
    """Wait until the kernel calls its clock synchronised: TLS and certificates rest on it.

    Raises:
        ClockError: If it does not in time.
    """
    clock, wait_s = SystemClock(arguments.clock), max(arguments.clock_wait, 0)
    began = told = time.monotonic()
    while not clock.read().is_synchronised:
        now = time.monotonic()
        if now - began >= wait_s:
            raise ClockError(
                f"This machine's clock is not set: it says {_now():%Y-%m-%d %H:%M} UTC and no "
                f"time server has confirmed that within {wait_s} s. Let it reach one (NTP, UDP "
                "port 123), or say --clock trusted if you see that the date is right."
            )
        if now - told >= _TOLD_S:
            told = now
            left = wait_s - (now - began)
            print(f"Waiting for the right time, {left:.0f} s more …", file=sys.stderr)
        time.sleep(_POLL_S)


def _until(about: About) -> str:
    return f"The certificate counts until {about.not_after:%Y-%m-%d %H:%M} UTC."


def _now() -> datetime:
    return datetime.now(UTC)
