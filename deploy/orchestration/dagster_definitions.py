"""Dagster: pre-aggregations as an asset behind the tables they are made of.

Load it with `dagster dev -f dagster_definitions.py`. The command `cubewire` needs a configuration
that names the data sources, and `server.admin_port` and `server.admin_token` to forget results.
"""

# No postponed annotations here: Dagster reads those of an asset's function as they are.
import json
import subprocess

import dagster as dg

BUILD = "cubewire rollups build --config /etc/cubewire/cubewire.yml --format json"
INVALIDATE = (
    "cubewire cache invalidate --cube orders --config /etc/cubewire/cubewire.yml --format json"
)
TAKEN = 3
"""The exit code of a build that another process is doing already: that is as good."""


def run(command: str, *, allowed: tuple[int, ...] = (0,)) -> str:
    """Run a command. Raises dagster.Failure with what it says where it fails."""
    done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
    if done.returncode not in allowed:
        raise dg.Failure(description=done.stderr or done.stdout)
    return done.stdout


@dg.asset(deps=[dg.AssetKey(["warehouse", "orders"])], group_name="cubewire")
def rollups(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """Pre-aggregations of the model; cached results of what they are made of are forgotten."""
    parts = json.loads(run(BUILD, allowed=(0, TAKEN)) or "[]")
    run(INVALIDATE)
    context.log.info("%d parts looked at", len(parts))
    return dg.MaterializeResult(metadata={"parts": len(parts)})


defs = dg.Definitions(
    assets=[rollups],
    schedules=[
        dg.ScheduleDefinition(
            job=dg.define_asset_job("cubewire_refresh", selection=[rollups]),
            cron_schedule="15 * * * *",
        )
    ],
)
