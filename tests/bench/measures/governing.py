"""What access policies cost: compiling the same statements with a policy on every cube."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

from semantic.security.context import SecurityContext
from tests.bench.engine import caller, open_engine_of
from tests.bench.machine import percentile
from tests.bench.measures.compiling import Times, compile_unseen
from tests.bench.pace import Pace, run
from tests.bench.results import Figure
from tests.bench.statements import bi_statements
from tests.bench.targets import CUBEWIRE, MODELS, USER, Field

WHO = SecurityContext.of(USER, attributes={"countries": ("DE", "FR", "US"), "least": 2})
# A caller's list and number, and a mask: of every row that a statement reads.
POLICY = """
    access_policy:
      - group: "*"
        member_masking: {includes: [customer]}
        row_level:
          filters:
            - {member: country, operator: in, values: ["{ user.countries }"]}
            - {member: qty, operator: gte, values: ["{ user.least }"]}
    measures:
"""


def measure(bench: Field, pace: Pace) -> Iterator[Figure]:
    """Milliseconds of the processor for compiling without and with policies, and their ratio."""
    rounds = 5 if pace.quick else 30
    plain = run(_measure(bench.config, rounds, WHO))
    governed = run(_measure(governed_config(bench), rounds, WHO))
    for name, seconds in (("open model", plain), ("policies on every cube", governed)):
        for percent in (50, 95):
            value = percentile(seconds, percent) * 1000
            yield Figure("policies", f"{name}, p{percent}", CUBEWIRE, value, "ms")
    for percent in (50, 95):
        ratio = percentile(governed, percent) / percentile(plain, percent)
        case = f"p{percent} with policies to that without"
        yield Figure("policies", case, CUBEWIRE, ratio, "")


async def _measure(config: Path, rounds: int, who: SecurityContext) -> list[float]:
    """Processor seconds of compiling each statement, as a text that was never seen before."""
    times = Times()
    async with open_engine_of(config) as engine:
        for _ in range(rounds):
            for named in bi_statements():
                await compile_unseen(engine, named, times, await caller(engine, who))
    return times.cold_processor


def governed_config(bench: Field) -> Path:
    """The server's configuration with a policy on every cube of its model."""
    models = bench.directory / "governed"
    models.mkdir(exist_ok=True)
    for path in MODELS.glob("*.yml"):
        text = path.read_text()
        assert text.count("\n    measures:\n") == 1
        (models / path.name).write_text(text.replace("\n    measures:\n", POLICY))
    settings = yaml.safe_load(bench.config.read_text()) | {"models": str(models)}
    path = bench.config.with_name("governed.yml")
    path.write_text(yaml.safe_dump(settings))
    return path
