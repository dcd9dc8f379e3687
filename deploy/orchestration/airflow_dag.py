"""Airflow: after the warehouse's load, build pre-aggregations, then forget cached results.

Put it into the DAG folder. The workers need the command `cubewire` and a configuration that names
the data sources, and `server.admin_port` and `server.admin_token` for the second task.
"""

from __future__ import annotations

import pendulum
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

BUILD = "cubewire rollups build --config /etc/cubewire/cubewire.yml --format json"
INVALIDATE = (
    "cubewire cache invalidate --cube orders --config /etc/cubewire/cubewire.yml --format json"
)
TAKEN = 3
"""The exit code of a build that another process is doing already: that is as good."""

with DAG(
    dag_id="cubewire_refresh",
    schedule="15 * * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": pendulum.duration(minutes=2)},
) as dag:
    build = BashOperator(
        task_id="build_rollups", bash_command=BUILD, skip_on_exit_code=TAKEN, append_env=True
    )
    invalidate = BashOperator(
        task_id="invalidate_results",
        bash_command=INVALIDATE,
        trigger_rule="none_failed",
        append_env=True,
    )
    build >> invalidate
