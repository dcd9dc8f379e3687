"""Prefect: build pre-aggregations, then forget cached results.

`python prefect_flow.py` serves it every hour. The command `cubewire` needs a configuration that
names the data sources, and `server.admin_port` and `server.admin_token` for the second task.
"""

from __future__ import annotations

import subprocess

from prefect import flow, get_run_logger, task

BUILD = "cubewire rollups build --config /etc/cubewire/cubewire.yml --format json"
INVALIDATE = (
    "cubewire cache invalidate --cube orders --config /etc/cubewire/cubewire.yml --format json"
)
TAKEN = 3
"""The exit code of a build that another process is doing already: that is as good."""


@task(retries=2, retry_delay_seconds=120)
def run(command: str, allowed: tuple[int, ...] = (0,)) -> str:
    """Run a command. Raises RuntimeError with what it says where it fails."""
    done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
    if done.returncode not in allowed:
        raise RuntimeError(done.stderr or done.stdout)
    return done.stdout


@flow(name="cubewire-refresh")
def refresh() -> None:
    """Build what is missing or due; results of these cubes are then asked for anew."""
    logger = get_run_logger()
    logger.info(run(BUILD, allowed=(0, TAKEN)))
    logger.info(run(INVALIDATE))


if __name__ == "__main__":
    refresh.serve(name="hourly", cron="15 * * * *")
