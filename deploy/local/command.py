"""``python -m deploy.local``: bring the services of a local installation up and down."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from deploy.local.debian import DebianError
from deploy.local.processes import ServerError
from deploy.local.progress import progress
from deploy.local.services import Services

_FAILED = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 if it did what it says, 1 with a sentence on stderr if not."""
    arguments = _parser().parse_args(argv)
    try:
        return arguments.run(Services(), arguments)
    except (DebianError, ServerError, OSError) as error:
        print(f"deploy.local {arguments.command}: {error}", file=sys.stderr)
        return _FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    prepare = commands.add_parser("prepare", help="install what is missing, start nothing")
    prepare.add_argument("--browser", action="store_true", help="for the tests in a browser too")
    prepare.set_defaults(run=_prepare)
    commands.add_parser("up", help="start TimescaleDB and mosquitto").set_defaults(run=_up)
    commands.add_parser("down", help="stop both").set_defaults(run=_down)
    status = commands.add_parser("status", help="say what runs; exit status 1 unless both do")
    status.add_argument("--json", action="store_true", help="all of it, for programs")
    status.set_defaults(run=_status)
    return parser


def _prepare(services: Services, arguments: argparse.Namespace) -> int:
    services.prepare(progress, is_for_browser=arguments.browser)
    return 0


def _up(services: Services, _arguments: argparse.Namespace) -> int:
    services.start(progress)
    return 0


def _down(services: Services, _arguments: argparse.Namespace) -> int:
    services.stop()
    return 0


def _status(services: Services, arguments: argparse.Namespace) -> int:
    status = services.status()
    if arguments.json:
        print(json.dumps(status, indent=2))
    else:
        for name, about in status.items():
            print(
                f"{name}: {'running' if about['is_running'] else 'stopped'}, port {about['port']}"
            )
    return 0 if all(about["is_running"] for about in status.values()) else _FAILED
