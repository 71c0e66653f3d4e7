"""The canary's metrics; ages are counted to the moment of the scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ingest_service.canary import legs
from ingest_service.canary.legs import Leg, Way


class CanaryMetrics(Collector):
    """What the canary's own process knows of its way."""

    def __init__(self, clock: Callable[[], datetime], began_at: datetime) -> None:
        self.way = Way()
        self.pings: dict[str, int] = {"sent": 0, "failed": 0}
        self.clock = clock
        self._began_at = began_at

    def collect(self) -> Iterable[Metric]:
        """Return the metrics; called in the thread of a scrape."""
        way, now = self.way, self.clock()
        # A canary that nothing ever came of is as old as its process.
        age = now - (way.passed_at or self._began_at)
        yield GaugeMetricFamily(
            "hemvital_canary_age_seconds",
            "Age of the newest reading of the canary that came through every part.",
            value=max(age.total_seconds(), 0.0),
        )
        ages = GaugeMetricFamily(
            "hemvital_canary_leg_age_seconds",
            "Age of what last passed this leg of the canary's way.",
            labels=["leg"],
        )
        deaf = GaugeMetricFamily(
            "hemvital_canary_deaf", "1 for the leg that nothing passes.", labels=["leg"]
        )
        deaf_leg = legs.deaf(way, began_at=self._began_at, now=now)
        for leg in Leg:
            if leg is Leg.PAGE and not way.has_page:
                continue
            since = way.at(leg) or self._began_at
            ages.add_metric([leg], max((now - since).total_seconds(), 0.0))
            deaf.add_metric([leg], float(leg is deaf_leg))
        yield ages
        yield deaf
        pings = CounterMetricFamily(
            "hemvital_canary_heartbeats",
            "Signs of life to the outside, each after a reading that came through.",
            labels=["outcome"],
        )
        for outcome, number in self.pings.items():
            pings.add_metric([outcome], number)
        yield pings
