"""How a unit's alerts did over a time: how many, how soon taken, what came of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from psycopg.rows import args_row

from ingest_service.store.callers import Caller
from ingest_service.store.connections import Connection

# Each time that an alert came before a person; it was taken in time if nobody had to be told on.
_RULES: Final = """
SELECT a.rule, a.priority, count(*), count(DISTINCT a.patient_id),
       count(*) FILTER (WHERE told.at IS NOT NULL)
  FROM alert a
  JOIN alert_event e ON e.alert_id = a.id
  LEFT JOIN LATERAL (
       SELECT next.at FROM alert_event next
        WHERE next.alert_id = a.id AND next.event = 'escalated' AND next.at > e.at
        LIMIT 1) AS told ON true
 WHERE a.care_unit_id = ANY(%(units)s)
   AND e.event IN ('raised', 'reraised') AND e.at >= %(since)s AND e.at < %(until)s
 GROUP BY a.rule, a.priority
 ORDER BY count(*) DESC, a.rule, a.priority
"""

_TAKEN: Final = """
SELECT a.priority, count(*),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM taken.at - e.at)),
       percentile_cont(0.9) WITHIN GROUP (ORDER BY extract(epoch FROM taken.at - e.at))
  FROM alert a
  JOIN alert_event e ON e.alert_id = a.id
 CROSS JOIN LATERAL (
       SELECT next.at FROM alert_event next
        WHERE next.alert_id = a.id AND next.at >= e.at
          AND next.event IN ('taken', 'resolved', 'paused', 'assigned') AND next.by <> 'rules'
        ORDER BY next.at LIMIT 1) AS taken
 WHERE a.care_unit_id = ANY(%(units)s)
   AND e.event IN ('raised', 'reraised') AND e.at >= %(since)s AND e.at < %(until)s
 GROUP BY a.priority
"""

_OUTCOMES: Final = """
SELECT outcome, count(*)
  FROM alert
 WHERE care_unit_id = ANY(%(units)s) AND outcome IS NOT NULL AND raised_at IS NOT NULL
   AND resolved_at >= %(since)s AND resolved_at < %(until)s
 GROUP BY outcome
 ORDER BY count(*) DESC, outcome
"""

# A patient with two plans counts once for each day.
_PATIENT_DAYS: Final = """
SELECT coalesce(sum(extract(epoch FROM upper(days) - lower(days))), 0) / 86400
  FROM (SELECT unnest(range_agg(p.valid * tstzrange(%(since)s, %(until)s))) AS days
          FROM plan p JOIN patient ON patient.id = p.patient_id
         WHERE patient.care_unit_id = ANY(%(units)s)
           AND p.valid && tstzrange(%(since)s, %(until)s)
         GROUP BY p.patient_id) AS monitored
"""


@dataclass(frozen=True, slots=True)
class OfRule:
    """How often a rule came before a person, of how many patients, and how often too late."""

    rule: str
    priority: str
    times: int
    patients: int
    late: int


@dataclass(frozen=True, slots=True)
class Taken:
    """How many of a priority somebody took, and after how many seconds: median, and 90 %."""

    priority: str
    times: int
    median_s: float
    nine_in_ten_s: float


@dataclass(frozen=True, slots=True)
class Measures:
    """A unit's figures over a time; ``outcomes`` are codes with how often each was given."""

    rules: list[OfRule]
    taken: list[Taken]
    outcomes: list[tuple[str, int]]
    patient_days: float


async def of_unit(
    connection: Connection, caller: Caller, *, since: datetime, until: datetime
) -> Measures:
    """Return the figures of the caller's unit between two moments."""
    values = {"units": list(caller.care_unit_ids), "since": since, "until": until}
    async with connection.cursor(row_factory=args_row(OfRule)) as cursor:
        rules = await (await cursor.execute(_RULES, values)).fetchall()
    async with connection.cursor(row_factory=args_row(Taken)) as cursor:
        taken = await (await cursor.execute(_TAKEN, values)).fetchall()
    outcomes = await (await connection.execute(_OUTCOMES, values)).fetchall()
    days = await (await connection.execute(_PATIENT_DAYS, values)).fetchone()
    return Measures(
        rules=rules,
        taken=taken,
        outcomes=[(row[0], row[1]) for row in outcomes],
        patient_days=float(days[0]) if days else 0.0,
    )
