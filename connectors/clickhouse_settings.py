"""What every statement sets in ClickHouse: it means the same whatever a profile says."""

from __future__ import annotations

import math

from connectors.clickhouse_arrow import ZONELESS

# What ends a result early without an error, where a limit of a profile is passed.
_OVERFLOW_MODES = (
    "distinct_overflow_mode",
    "group_by_overflow_mode",
    "join_overflow_mode",
    "read_overflow_mode",
    "read_overflow_mode_leaf",
    "result_overflow_mode",
    "set_overflow_mode",
    "sort_overflow_mode",
    "timeout_overflow_mode",
    "timeout_overflow_mode_leaf",
    "transfer_overflow_mode",
)

STATEMENT_SETTINGS: dict[str, str] = {
    # Nothing is written; 2, because with 1 the settings below would be refused.
    "readonly": "2",
    # Joins, sets and aggregates as in SQL.
    "join_use_nulls": "1",
    "join_default_strictness": "ALL",
    "any_join_distinct_right_table_keys": "0",
    "transform_null_in": "0",
    "union_default_mode": "DISTINCT",
    "except_default_mode": "DISTINCT",
    "intersect_default_mode": "DISTINCT",
    "aggregate_functions_null_for_empty": "1",
    "empty_result_for_aggregation_by_empty_set": "0",
    "empty_result_for_aggregation_by_constant_keys_on_empty_set": "1",
    "group_by_use_nulls": "1",
    "count_distinct_implementation": "uniqExact",
    "distributed_group_by_no_merge": "0",
    # Names mean columns first, as in PostgreSQL; numbers in GROUP BY and ORDER BY mean outputs.
    "enable_analyzer": "1",
    "prefer_column_name_to_alias": "1",
    "enable_positional_arguments": "1",
    # An overflow is an error, and no rewriting computes another sum than is written.
    "decimal_check_overflow": "1",
    "date_time_overflow_behavior": "throw",
    "enable_extended_results_for_datetime_functions": "1",
    "optimize_arithmetic_operations_in_aggregate_functions": "0",
    "short_circuit_function_evaluation": "force_enable",
    "cast_keep_nullable": "0",
    "precise_float_parsing": "1",
    "data_type_default_nullable": "0",
    # All of the rows, or an error.
    "limit": "0",
    "offset": "0",
    "skip_unavailable_shards": "0",
    **dict.fromkeys(_OVERFLOW_MODES, "throw"),
    # Moments without a zone are in UTC, under a name that tells them from those with one.
    "session_timezone": ZONELESS,
    "output_format_arrow_string_as_string": "1",
    "output_format_arrow_fixed_string_as_fixed_byte_array": "1",
    "output_format_arrow_low_cardinality_as_dictionary": "0",
    "output_format_arrow_unsupported_types_as_binary": "0",
    "output_format_arrow_compression_method": "lz4_frame",
    # Rows leave as they are made, and a client that goes away ends its statement.
    "wait_end_of_query": "0",
    "enable_http_compression": "0",
    "http_write_exception_in_output_format": "0",
    "cancel_http_readonly_queries_on_client_close": "1",
}


def timeout_settings(timeout: float | None) -> dict[str, str]:
    """The server's own limit of a statement, which it keeps when nobody is there to cancel it."""
    if timeout is None:
        return {}
    # Later than ours, which is the one that is reported.
    return {"max_execution_time": str(math.ceil(timeout) + 1)}
