"""Signatures of aggregates and window functions (manual, 9.21 and 9.22)."""

from __future__ import annotations

from semantic.compiler.expressions.signatures.registry import read_table


def _family(names: str, line: str) -> str:
    return "\n".join(line.format(name=name) for name in names.split())


_SPREADS = "stddev_pop stddev_samp var_pop var_samp"
_PAIRS = (
    "corr covar_pop covar_samp regr_avgx regr_avgy regr_intercept regr_r2 regr_slope regr_sxx"
    " regr_sxy regr_syy"
)

AGGREGATES = read_table(
    """
    any_value(same) same
    array_agg(same) array
    avg(float8) float8
    avg(int2) numeric
    avg(int4) numeric
    avg(int8) numeric
    avg(numeric) numeric
    avg(float4) float8
    avg(interval) interval
    bit_and(int2) int2
    bit_and(int4) int4
    bit_and(int8) int8
    bit_or(int2) int2
    bit_or(int4) int4
    bit_or(int8) int8
    bit_xor(int2) int2
    bit_xor(int4) int4
    bit_xor(int8) int8
    bool_and(bool) bool
    bool_or(bool) bool
    count() int8
    count(any) int8
    max(same) same
    min(same) same
    regr_count(float8, float8) int8
    string_agg(text, text) text
    sum(float8) float8
    sum(int2) int8
    sum(int4) int8
    sum(int8) numeric
    sum(numeric) numeric
    sum(float4) float4
    sum(interval) interval
    """
    + _family(_SPREADS, "{name}(float8) float8")
    + "\n"
    + "\n".join(
        _family(_SPREADS, f"{{name}}({kind}) numeric")
        for kind in ("int2", "int4", "int8", "numeric")
    )
    + "\n"
    + _family(_SPREADS, "{name}(float4) float8")
    + "\n"
    + _family(_PAIRS, "{name}(float8, float8) float8"),
    "aggregate",
)

# The first argument here is the expression of WITHIN GROUP (ORDER BY ...).
ORDERED_SETS = read_table(
    """
    percentile_cont(float8, float8) float8
    percentile_cont(float8, _float8) _float8
    percentile_cont(interval, float8) interval
    percentile_disc(same, float8) same
    percentile_disc(same, _float8) array
    mode(same) same
    """,
    "ordered-set",
)

WINDOWS = read_table(
    """
    cume_dist() float8
    dense_rank() int8
    first_value(same) same
    lag(same) same
    lag(same, int4) same
    lag(same, int4, same) same
    last_value(same) same
    lead(same) same
    lead(same, int4) same
    lead(same, int4, same) same
    nth_value(same, int4) same
    ntile(int4) int4
    percent_rank() float8
    rank() int8
    row_number() int8
    """,
    "window",
)
