"""What real clients can find out of a database in which a caller may not see everything."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.targets import run_client
from tests.security.shop import dsn
from tests.security.test_hidden import HIDDEN
from tests.support.oracle import binaries
from tests.support.server import RunningServer

PSQL = shutil.which("psql") or str(binaries() / "psql")
JAVA = shutil.which("java")
METADATA = Path(__file__).parents[1] / "e2e" / "jdbc" / "Metadata.java"
JAR = Path(os.environ.get("PGJDBC_JAR", "/usr/share/java/postgresql.jar"))
ODBC = Path(os.environ.get("PSQLODBC", "/usr/lib/x86_64-linux-gnu/odbc/psqlodbcw.so"))

EVERYTHING = "\n".join(
    [
        r"\l+ cubewire",
        r"\dt+ public.*",
        r"\dv+ public.*",
        r"\d+ public.*",
        r"\dd public.*",
        r"\dp public.*",
        r"\di+ public.*",
        r"\dT public.*",
        r"\df public.*",
        r"\ddp",
        "SELECT * FROM pg_constraint WHERE connamespace = 'public'::regnamespace;",
        "SELECT * FROM pg_attribute WHERE attrelid > 16000 AND attnum > 0;",
        "SELECT * FROM pg_stats WHERE schemaname = 'public';",
        "SELECT * FROM pg_stat_all_tables WHERE schemaname = 'public';",
    ]
)

pytestmark = pytest.mark.client


def psql(server: RunningServer, user: str, commands: str) -> str:
    done = subprocess.run(
        [PSQL, "-X", dsn(server, user)],
        input=commands,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        env={**os.environ, "PAGER": "cat"},
    )
    return done.stdout


def telling(text: str) -> set[str]:
    return {name for name in HIDDEN if name in text}


def test_psql(shop: RunningServer) -> None:
    assert telling(psql(shop, "stan", EVERYTHING)) == set(HIDDEN)
    seen = psql(shop, "otto", EVERYTHING)
    assert "orders_cities_fkey" in seen
    assert "ERROR" not in seen
    assert telling(seen) == set()


@pytest.mark.parametrize(
    "command", [r"\d {}", r"\d+ {}", r"\dt {}", r"\sv {}", r"\dp {}", r"\dd {}"]
)
def test_psql_of_a_hidden_relation(shop: RunningServer, command: str) -> None:
    hidden = psql(shop, "otto", command.format("payroll"))
    assert hidden.replace("payroll", "payrill") == psql(shop, "otto", command.format("payrill"))


@pytest.mark.parametrize("typed", ["SELECT * FROM pay", "SELECT * FROM c", r"\d pay"])
def test_completion_queries(shop: RunningServer, typed: str) -> None:
    """What psql asks to complete a word, which is the same for every relation."""
    asked = (
        "SELECT pg_catalog.quote_ident(c.relname) FROM pg_catalog.pg_class c "
        "WHERE c.relkind IN ('r', 'S', 'v', 'm', 'f', 'p') AND "
        f"substring(pg_catalog.quote_ident(c.relname), 1, 3) LIKE '{typed.split()[-1]}%' "
        "AND pg_catalog.pg_table_is_visible(c.oid) AND c.relnamespace <> "
        "(SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'pg_catalog');"
    )
    assert telling(psql(shop, "otto", asked)) == set()


@pytest.mark.skipif(JAVA is None or not JAR.exists(), reason="no Java, or no JDBC driver")
def test_jdbc(shop: RunningServer) -> None:
    def metadata(user: str) -> str:
        url = f"jdbc:postgresql://{shop.host}:{shop.port}/cubewire"
        options = ["-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", str(JAR)]
        code, out, errors = run_client([str(JAVA), *options, str(METADATA), url, user, user], {})
        assert code == 0, errors
        return out

    assert telling(metadata("stan")) == set(HIDDEN)
    seen = metadata("otto")
    assert "imported\tnull\tpublic\tcities\tid\tnull\tpublic\torders\tcity_id" in seen
    assert telling(seen) == set()


@pytest.mark.skipif(not ODBC.exists(), reason="psqlODBC is not installed")
def test_odbc(shop: RunningServer) -> None:
    pyodbc = pytest.importorskip("pyodbc", reason="pyodbc or unixODBC is not installed")

    def metadata(user: str) -> str:
        text = (
            f"DRIVER={ODBC};SERVER={shop.host};PORT={shop.port};DATABASE=cubewire;"
            f"UID={user};PWD={user}"
        )
        with closing(pyodbc.connect(text)) as connection, connection.cursor() as cursor:
            found = [*cursor.tables(), *cursor.columns()]
            for name in ("orders", "customers", "payroll", "cities"):
                found += [*cursor.primaryKeys(name), *cursor.statistics(name)]
                found += [*cursor.foreignKeys(name), *cursor.foreignKeys(foreignTable=name)]
            return repr(found)

    assert telling(metadata("stan")) >= set(HIDDEN) - {"earn", "earned"}  # comments
    assert telling(metadata("otto")) == set()
