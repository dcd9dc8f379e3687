from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.soak.soak import Report, Sample, soak

SECONDS = 20.0


@pytest.mark.timeout(180)
def test_a_short_soak(tmp_path: Path) -> None:
    report = soak(tmp_path, SECONDS)
    assert report.problems() == []
    assert min(report.done.values()) > 0


def samples(memory: list[int], files: list[int], seconds: float = 1.0) -> list[Sample]:
    return [
        Sample(number * seconds, size, opened, 0)
        for number, (size, opened) in enumerate(zip(memory, files, strict=True))
    ]


def test_what_grows_is_found() -> None:
    flat, growing = [10**8] * 8, [10**8 + number * 4 * 10**7 for number in range(8)]
    few, more = [50] * 8, [50 + 10 * number for number in range(8)]
    assert Report({"a": 1}, [], samples(flat, few)).problems() == []
    assert "memory grew by 200 MB" in Report({"a": 1}, [], samples(growing, few)).problems()[0]
    assert "descriptors grew" in Report({"a": 1}, [], samples(flat, more)).problems()[0]
    assert Report({"a": 0}, ["x"], samples(flat, few)).problems() == [
        "1 failures, such as x",
        "nothing done: a",
    ]


def test_a_long_run_has_to_be_flat_once_it_is_warm() -> None:
    few = [50] * 8
    warming = [10**8, 2 * 10**8, *([3 * 10**8] * 6)]
    assert Report({"a": 1}, [], samples(warming, few, 100.0)).problems() == []
    creeping = [10**8 + number * 4 * 10**6 for number in range(8)]
    assert Report({"a": 1}, [], samples(creeping, few)).problems() == []
    report = Report({"a": 1}, [], samples(creeping, few, 100.0))
    assert report.problems() == ["memory grew by 20 MB once it was warm"]
    assert report.summary() == (
        "medians of the quarters: 102 110 118 126 MB (least 100 108 116 124, "
        "most 104 112 120 128), 50 50 50 50 files; trend of the last three quarters: +20.0 MB"
    )


def test_bursts_that_pass_are_no_growth_and_do_not_hide_it() -> None:
    def problems(sizes: list[int]) -> list[str]:
        return Report({"a": 1}, [], samples(sizes, [50] * len(sizes), 3.0)).problems()

    chosen = random.Random(1)
    bursts = [chosen.randrange(40) * 10**6 * (number % 5 > 0) for number in range(400)]
    rising = [burst * (number > 300) * 3 for number, burst in enumerate(bursts)]
    assert problems([10**8 + burst for burst in rising]) == []
    slow = [10**8 + burst + number * 4 * 10**4 for number, burst in enumerate(bursts)]
    assert problems(slow) == ["memory grew by 12 MB once it was warm"]
