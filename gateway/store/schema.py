"""Tables of the gateway's file.

`GENERATION` is the file's ``user_version``: a release refuses a file of a later generation, so it
only rises when an older release could no longer work with the file. Everything else is a step:
it adds tables, or columns with a default, and an older release passes over them. So a release can
be rolled back without losing what waits.
"""

from __future__ import annotations

from typing import Final

GENERATION: Final = 1

TABLES: Final = """
CREATE TABLE epoch (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    last_number INTEGER NOT NULL DEFAULT 0,
    started_us INTEGER NOT NULL,
    reason TEXT NOT NULL
) STRICT;
CREATE TABLE incarnation (
    id TEXT NOT NULL,                       -- one row: the database that receipts name
    last_receipt_us INTEGER NOT NULL
) STRICT;
CREATE TABLE device (
    id TEXT PRIMARY KEY,
    reset_generation INTEGER NOT NULL DEFAULT 0,
    clock_shown TEXT                        -- its clock when last measured, as it showed
) STRICT;
CREATE TABLE connection (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    adapter TEXT NOT NULL,
    facts TEXT NOT NULL,                    -- JSON of gateway.store.journal.ConnectionFacts
    is_settled INTEGER NOT NULL DEFAULT 0   -- nothing more will be learnt of it
) STRICT;
CREATE TABLE journal (
    number INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice: identities rest on it
    connection INTEGER NOT NULL REFERENCES connection,
    characteristic TEXT NOT NULL,
    raw BLOB NOT NULL,
    received_us INTEGER NOT NULL,
    monotonic_ns INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    is_synchronised INTEGER NOT NULL,
    trace_id TEXT NOT NULL,
    is_decoded INTEGER NOT NULL DEFAULT 0,
    is_corrected INTEGER NOT NULL           -- its time needs no correction, or has got it
) STRICT;
CREATE INDEX journal_undecoded ON journal (number) WHERE is_decoded = 0;
CREATE INDEX journal_uncorrected ON journal (boot_id) WHERE is_corrected = 0;
CREATE INDEX journal_connection ON journal (connection);
CREATE TABLE outbox (
    epoch INTEGER NOT NULL REFERENCES epoch,
    number INTEGER NOT NULL,
    journal INTEGER,                        -- null for a time correction
    record BLOB NOT NULL,                   -- the very bytes that travel, also the second time
    trace_id TEXT NOT NULL,
    queued_us INTEGER NOT NULL,
    sent_us INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    due_ns INTEGER NOT NULL DEFAULT 0,      -- on the monotonic clock of this run; 0 is at once
    delivered_us INTEGER,
    PRIMARY KEY (epoch, number)
) STRICT;
CREATE INDEX outbox_due ON outbox (due_ns) WHERE delivered_us IS NULL;
CREATE INDEX outbox_undelivered ON outbox (epoch, number) WHERE delivered_us IS NULL;
CREATE INDEX outbox_delivered ON outbox (delivered_us) WHERE delivered_us IS NOT NULL;
CREATE INDEX outbox_journal ON outbox (journal);
"""

#: In this order, each in a transaction of its own; never changed once released.
STEPS: Final = (
    """
CREATE TABLE run (                          -- one row a start; no end is an unclean stop
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    started_us INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    ended_us INTEGER
) STRICT;
CREATE TABLE standing (                     -- what is known of each device between its visits
    device TEXT PRIMARY KEY,                -- its address
    adapter TEXT,
    seen_us INTEGER,
    visited_us INTEGER,
    given_us INTEGER,
    battery_percent INTEGER,
    battery_us INTEGER
) STRICT;
CREATE TABLE condition (                    -- what is wrong now, and since when
    kind TEXT NOT NULL,                     -- one of Problem
    device TEXT NOT NULL,                   -- its address; empty for the gateway itself
    since_us INTEGER NOT NULL,
    detail TEXT,
    PRIMARY KEY (kind, device)
) STRICT;
CREATE TABLE event (                        -- until the broker has acknowledged it
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    body BLOB NOT NULL,                     -- JSON of a GatewayEvent
    created_us INTEGER NOT NULL
) STRICT;
CREATE TABLE configuration (                -- the last good one: one row
    version INTEGER NOT NULL,
    body BLOB NOT NULL,                     -- as it came
    received_us INTEGER NOT NULL
) STRICT;
CREATE TABLE configured (                   -- since when each device is awaited
    device TEXT PRIMARY KEY,
    since_us INTEGER NOT NULL
) STRICT;
CREATE TABLE measured (                     -- devices' last readings, to tell the rest by
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    device TEXT NOT NULL,
    generation INTEGER NOT NULL,
    person TEXT NOT NULL,                   -- the device's user slot; empty where it has none
    kind TEXT NOT NULL,
    record_id TEXT NOT NULL,
    connection INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    received_ns INTEGER NOT NULL,           -- on the count since boot
    shown_us INTEGER,                       -- the device's wall clock; null where it gave none
    effective_us INTEGER,                   -- null where the gateway's clock was not trusted
    UNIQUE (device, person, kind, record_id)
) STRICT;
CREATE TABLE clock (                        -- what is believed of the wall clock: one row
    boot_id TEXT NOT NULL,
    trust TEXT NOT NULL                     -- JSON of gateway.trust.Trust
) STRICT;
CREATE TABLE said (                         -- what the running gateway said of itself: one row
    body BLOB NOT NULL,                     -- JSON of gateway.status.Said
    said_us INTEGER NOT NULL
) STRICT;
-- Which epoch names the record, where it is not the one at the time of decoding: a salvaged entry.
ALTER TABLE journal ADD COLUMN epoch TEXT;
""",
)
