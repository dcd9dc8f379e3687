"""Signatures of date and time functions and of formatting (manual, 9.8 and 9.9)."""

from __future__ import annotations

from semantic.compiler.expressions.signatures.registry import read_table

DATES = read_table(
    """
    age(timestamptz, timestamptz) interval
    age(timestamp, timestamp) interval
    age(timestamptz) interval
    age(timestamp) interval
    clock_timestamp() timestamptz
    current_date() date
    date(timestamptz) date
    date(timestamp) date
    date_bin(interval, timestamptz, timestamptz) timestamptz
    date_bin(interval, timestamp, timestamp) timestamp
    date_part(text, timestamptz) float8
    date_part(text, timestamp) float8
    date_part(text, date) float8
    date_part(text, time) float8
    date_part(text, interval) float8
    date_trunc(text, timestamptz) timestamptz
    date_trunc(text, timestamp) timestamp
    date_trunc(text, interval) interval
    date_trunc(text, timestamptz, text) timestamptz
    extract(text, timestamptz) numeric
    extract(text, timestamp) numeric
    extract(text, date) numeric
    extract(text, time) numeric
    extract(text, interval) numeric
    isfinite(timestamptz) bool
    isfinite(timestamp) bool
    isfinite(date) bool
    isfinite(interval) bool
    justify_days(interval) interval
    justify_hours(interval) interval
    justify_interval(interval) interval
    localtimestamp() timestamp
    make_date(int4, int4, int4) date
    make_interval() interval
    make_interval(int4) interval
    make_interval(int4, int4) interval
    make_interval(int4, int4, int4) interval
    make_interval(int4, int4, int4, int4) interval
    make_interval(int4, int4, int4, int4, int4) interval
    make_interval(int4, int4, int4, int4, int4, int4) interval
    make_interval(int4, int4, int4, int4, int4, int4, float8) interval
    make_time(int4, int4, float8) time
    make_timestamp(int4, int4, int4, int4, int4, float8) timestamp
    make_timestamptz(int4, int4, int4, int4, int4, float8) timestamptz
    make_timestamptz(int4, int4, int4, int4, int4, float8, text) timestamptz
    now() timestamptz
    statement_timestamp() timestamptz
    timezone(interval, timestamptz) timestamp
    timezone(interval, timestamp) timestamptz
    timezone(text, timestamptz) timestamp
    timezone(text, timestamp) timestamptz
    to_char(timestamptz, text) text
    to_char(timestamp, text) text
    to_char(float8, text) text
    to_char(int4, text) text
    to_char(int8, text) text
    to_char(numeric, text) text
    to_char(float4, text) text
    to_char(interval, text) text
    to_date(text, text) date
    to_timestamp(text, text) timestamptz
    to_timestamp(float8) timestamptz
    to_number(text, text) numeric
    """,
    "scalar",
)
