"""No expression of a caller's meets a row that a policy hides, on either warehouse.

Every expression here raises an error over hidden rows and none over those that are left: an error
would tell of a row, and its text of a value. The warehouses are real, the tables large enough for
their optimisers to have a choice, and the answers are those of a copy without the hidden rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import duckdb
import psycopg
import pytest

from semantic.compiler.api import CompiledStatement
from semantic.model.policy import AccessPolicy, FilterCombination, MemberRule, RowRule
from semantic.security.context import SecurityContext
from tests.compiler.policies.conftest import INDEXES, VAULT, Company
from tests.compiler.policies.shops import Caller, Connection, condition
from tests.compiler.policies.shops import rows as ruled
from tests.compiler.test_results import normal
from tests.support.duck import memory_database
from tests.support.oracle import OraclePostgres

HIDDEN = "DELETE FROM vault WHERE tenant = 1; DELETE FROM owners WHERE tenant = 1"

ORACLES = [
    "1 / number > 0",
    "10 % number = 0",
    "word::int = 7",
    "CAST(word AS numeric) > 1",
    "length(word::int::text) = 1",
    "ln(number) > 0",
    "sqrt(number - 5) >= 0",
    "large * 4 > 0",
    "substring(word, 1, 7 - length(word)) <> 'x'",
    "word ~ word",
    "chr(number) <> ''",
    "(document::json ->> 'a') = '1'",
    "make_date(2024, number, 1) > '2000-01-01'",
    "CASE WHEN 1 / number > 0 THEN true END",
    "number IN (1 / number, 5)",
    "number = 5 AND word::int = 7",
    "1 / number > 0 OR id < 0",
]

REFUSED_ON_DUCKDB = {"word ~ word", "(document::json ->> 'a') = '1'"}

SHAPES = [
    "SELECT COUNT(*) FROM vault v WHERE {}",
    "SELECT COUNT(*) FROM (SELECT * FROM vault) v WHERE {}",
    "WITH w AS (SELECT * FROM vault) SELECT COUNT(*) FROM w WHERE {}",
    "SELECT COUNT(*) FILTER (WHERE {}) FROM vault",
    "SELECT MEASURE(total) FROM vault WHERE {}",
    "SELECT SUM(CASE WHEN {} THEN 1 END) FROM vault",
    "SELECT {}, COUNT(*) FROM vault GROUP BY 1",
    "SELECT label FROM vault GROUP BY label HAVING bool_or({}) ORDER BY 1",
    "SELECT DISTINCT {} FROM vault",
    "SELECT id FROM vault ORDER BY {}, id LIMIT 3",
    "SELECT COUNT(*) FROM vault JOIN (VALUES (1)) AS x (one) ON {}",
    "SELECT COUNT(one) FROM (VALUES (1), (2)) AS x (one) LEFT JOIN vault ON {}",
    "SELECT COUNT(*) FROM owners o WHERE EXISTS "
    "(SELECT 1 FROM vault WHERE vault.owner_id = o.id AND ({}))",
    "SELECT COUNT(*) FROM (SELECT *, rank() OVER (ORDER BY id) AS place FROM vault) v WHERE {}",
    "SELECT id FROM vault WHERE {} UNION SELECT id FROM vault WHERE id < 5 ORDER BY 1 LIMIT 4",
    "SELECT COUNT(*) FROM vault a JOIN (SELECT id AS b FROM vault WHERE {}) o ON a.id = o.b",
]


def _policies() -> dict[str, dict[str, Sequence[AccessPolicy]]]:
    tenants = [0, *range(2, 40)]
    hidden_masked = AccessPolicy(
        groups=("*",),
        member_masking=MemberRule(("label",)),
        row_level=RowRule((condition("owners.tenant", "equals", 0),)),
    )
    either = FilterCombination(
        "or", (condition("tenant", "equals", 0), condition("owner_tenant", "equals", 0))
    )
    owners = ruled(condition("tenant", "equals", 0))
    alone: dict[str, Sequence[AccessPolicy]] = {
        "equality": [ruled(condition("tenant", "equals", 0))],
        "list": [ruled(condition("tenant", "in", *tenants[:20]))],
        "array": [ruled(condition("tenant", "in", "user.tenants"))],
        "join": [ruled(condition("owners.tenant", "equals", 0))],
        "joined array": [ruled(condition("owners.tenant", "in", "user.tenants"))],
        "either": [ruled(either)],
        "pattern": [ruled(condition("label", "endsWith", " 0"))],
        "not": [
            ruled(condition("tenant", "notEquals", 1), condition("label", "notContains", "t 1"))
        ],
        "masks": [hidden_masked, ruled(condition("tenant", "equals", 0))],
    }
    made: dict[str, dict[str, Sequence[AccessPolicy]]] = {
        name: {"vault": policies, "owners": [owners]} for name, policies in alone.items()
    }
    own = AccessPolicy(groups=("*",), member_masking=MemberRule(("label",)))
    for name, member in (("view", "tenant"), ("view by a join", "owners_tenant")):
        policy = ruled(condition(member, "in", "user.tenants"))
        made[name] = {"vaults": [policy], "vault": [own], "owners": [owners]}
    return made


POLICIES = _policies()
CONTEXT = SecurityContext.of("x", attributes={"tenants": [0, *range(2, 40)]})


@dataclass(frozen=True)
class Vault:
    """The vault, and a copy of what a tenant may see of it."""

    company: Company
    copy: Connection
    answers: dict[str, object] = field(default_factory=dict)

    def caller(self, policy: str) -> Caller:
        return self.company.caller(POLICIES[policy], CONTEXT)

    def expected(self, sql: str) -> object:
        if sql not in self.answers:
            open_to_all = replace(self.company.caller({}), database=self.copy)
            self.answers[sql] = _answer(open_to_all, open_to_all.compiled(sql))
        return self.answers[sql]


@pytest.fixture(scope="module")
def duckdb_vault(duckdb_company: Company) -> Iterator[Vault]:
    with memory_database() as copy:
        copy.execute(VAULT + HIDDEN)
        yield Vault(duckdb_company, copy)


@pytest.fixture(scope="module")
def postgres_vault(oracle: OraclePostgres, postgres_company: Company) -> Iterator[Vault]:
    with psycopg.connect(oracle.dsn, autocommit=True) as connection:
        connection.execute("CREATE DATABASE vault_copy")
    dsn = oracle.dsn.replace("/postgres", "/vault_copy")
    with psycopg.connect(dsn, autocommit=True) as copy:
        copy.execute(f"{VAULT}{HIDDEN};{INDEXES}".encode())
        yield Vault(postgres_company, copy)


@pytest.mark.parametrize("policy", list(POLICIES))
@pytest.mark.parametrize("warehouse", ["duckdb", "postgres"])
def test_no_expression_meets_a_hidden_row(
    warehouse: str, policy: str, request: pytest.FixtureRequest
) -> None:
    vault: Vault = request.getfixturevalue(f"{warehouse}_vault")
    governed = vault.caller(policy)
    first = list(POLICIES).index(policy)
    # Each policy with each shape and with half of the expressions, so that all of them meet.
    for number, oracle in list(enumerate(ORACLES))[first % 2 :: 2]:
        if warehouse == "duckdb" and oracle in REFUSED_ON_DUCKDB:
            continue
        simple, other = SHAPES[0].format(oracle), SHAPES[(first + number) % len(SHAPES)]
        callers = [(governed, simple), (governed, other.format(oracle))]
        if first < 2:
            callers.append((replace(governed, rules=()), simple))
        for caller, text in callers:
            sql = text.replace("vault", "vaults") if policy.startswith("view") else text
            statement = caller.compiled(sql)
            assert _answer(caller, statement) == vault.expected(sql), f"{sql}\n{statement.sql}"


def _answer(caller: Caller, statement: CompiledStatement) -> object:
    try:
        return [normal(row) for row in caller.run(statement)]
    except (duckdb.Error, psycopg.Error) as error:
        return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("warehouse", ["duckdb", "postgres"])
def test_without_the_fence_there_would_be_errors(
    warehouse: str, request: pytest.FixtureRequest
) -> None:
    """The proof is one: the same statements fail where nothing keeps the caller's from the rows."""
    vault: Vault = request.getfixturevalue(f"{warehouse}_vault")
    found = set()
    for policy in POLICIES:
        governed = vault.caller(policy)
        for oracle in ORACLES[:3]:
            if policy.startswith("view"):
                continue
            statement = governed.compiled(SHAPES[0].format(oracle))
            assert " OFFSET 0" in statement.sql
            open_to_all = replace(statement, sql=statement.sql.replace(" OFFSET 0", ""))
            if isinstance(_answer(governed, open_to_all), str):
                found.add(policy)
    assert found, "the optimiser has changed: look for expressions that it moves"


def test_comparisons_behind_the_fence_use_indexes(postgres_vault: Vault) -> None:
    """An index of the table answers a condition of the client's, where it cannot raise."""
    governed = postgres_vault.caller("join")
    sql = "SELECT COUNT(*) FROM vault WHERE number = 77"
    plans = []
    for caller in (governed, replace(governed, rules=())):
        statement = caller.compiled(sql)
        explained = replace(statement, sql=f"EXPLAIN {statement.sql}")
        plans.append("\n".join(str(line) for (line,) in caller.run(explained)))
    assert "vault_number_idx" in plans[0], plans[0]
    assert "vault_number_idx" not in plans[1]
