"""A box that goes back: empty once the server has everything, and not before."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.enrolment import files
from gateway.enrolment.command import main
from gateway.enrolment.failures import Exit
from gateway.store.database import FILE_NAME, open_database

KEY_OF_A_BOX = b"key"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    files.put_in_place(tmp_path, files.prepare(tmp_path, "one", KEY_OF_A_BOX), {})
    open_database(tmp_path, datetime.now(UTC)).close()
    return tmp_path


def waits(state: Path) -> None:
    """Have a reading wait for the server."""
    with sqlite3.connect(state / FILE_NAME) as connection:
        connection.execute(
            "INSERT INTO epoch (sequence, id, started_us, reason) VALUES (99, 'one', 0, 'test')"
        )
        connection.execute(
            "INSERT INTO outbox (epoch, number, record, trace_id, queued_us)"
            " VALUES (99, 1, x'7b7d', 'trace', 0)"
        )
    connection.close()


def test_with_everything_delivered_nothing_is_left(state: Path) -> None:
    assert main(["retire", "--state", str(state)]) == Exit.DONE

    assert sorted(each.name for each in state.iterdir()) == ["enrolment.lock", "lock"]


def test_what_waits_is_not_thrown_away_without_a_word(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    waits(state)

    assert main(["retire", "--state", str(state)]) == Exit.FAILED
    assert "1 reading(s) have not reached the server" in capsys.readouterr().err
    assert (state / "identity" / files.KEY).read_bytes() == KEY_OF_A_BOX
    assert (state / FILE_NAME).exists()
    assert main(["retire", "--state", str(state), "--force"]) == Exit.DONE
    assert not (state / FILE_NAME).exists()


def test_a_gateway_that_runs_is_left_alone(state: Path) -> None:
    with files.alone(state, "lock"):
        assert main(["retire", "--state", str(state), "--force"]) == Exit.NOT_YET

    assert (state / FILE_NAME).exists()
