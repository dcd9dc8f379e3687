"""Series of numbers under labels, as Prometheus keeps them: bounded in number whatever comes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Upper bounds in seconds: from a cached answer to a slow warehouse."""
MOST_SERIES = 1000
"""Label combinations per metric; beyond it they are counted under ``other``."""

OTHER = "other"
"""Stands for the values of a label, or for the series of a metric, that are too many."""

Labels = tuple[str, ...]


@dataclass(slots=True)
class Histogram:
    """Counts per bucket, and the sum."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    total: float = 0.0

    def observe(self, seconds: float) -> None:
        """Count one value."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds

    def add(self, other: Histogram) -> None:
        """Count all that another one has counted."""
        for bucket, number in enumerate(other.counts):
            self.counts[bucket] += number
        self.total += other.total

    @property
    def number(self) -> int:
        """How many values there were."""
        return sum(self.counts)

    def cumulative(self) -> list[tuple[str, float]]:
        """Prometheus' buckets: each counts everything up to its bound."""
        running = 0
        buckets: list[tuple[str, float]] = []
        bounds = [str(float(bound)) for bound in BUCKETS]
        for bound, count in zip([*bounds, "+Inf"], self.counts, strict=True):
            running += count
            buckets.append((bound, running))
        return buckets


@dataclass(slots=True)
class LabelValues:
    """The values of a label that are told apart: the first so many; others are ``other``."""

    most: int
    _known: set[str] = field(default_factory=set)

    def of(self, value: str) -> str:
        """What a value goes by."""
        if value in self._known:
            return value
        if len(self._known) >= self.most:
            return OTHER
        self._known.add(value)
        return value


def count(series: dict[Labels, int], labels: Labels, by: int = 1) -> None:
    """Count under labels, or under ``other`` where there are too many."""
    known = series.get(labels)
    if known is None:
        if len(series) >= MOST_SERIES:
            labels = (OTHER,) * len(labels)
        known = series.get(labels, 0)
    series[labels] = known + by


def histogram(series: dict[Labels, Histogram], labels: Labels) -> Histogram:
    """The histogram of labels, or of ``other`` where there are too many."""
    known = series.get(labels)
    if known is None:
        if len(series) >= MOST_SERIES:
            labels = (OTHER,) * len(labels)
        known = series.setdefault(labels, Histogram())
    return known


def gauge(
    name: str, text: str, samples: Iterable[tuple[Labels, float]], labels: Sequence[str] = ()
) -> Metric:
    """A gauge as prometheus-client wants it."""
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def counter(
    name: str, text: str, samples: Iterable[tuple[Labels, float]], labels: Sequence[str] = ()
) -> Metric:
    """A counter as prometheus-client wants it."""
    family = CounterMetricFamily(name.removesuffix("_total"), text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def histograms(
    name: str, text: str, series: Mapping[Labels, Histogram], labels: Sequence[str]
) -> Metric:
    """Histograms as prometheus-client wants them."""
    family = HistogramMetricFamily(name, text, labels=labels)
    for values, each in series.items():
        family.add_metric(values, each.cumulative(), each.total)
    return family
