"""Signatures of JSON functions and operators (manual, 9.16)."""

from __future__ import annotations

from semantic.compiler.expressions.signatures.registry import read_table

JSON = read_table(
    """
    json_array_length(json) int4
    json_build_array() json
    json_build_array(any, ...) json
    json_build_object() json
    json_build_object(any, any, ...) json
    json_extract_path(json, text, ...) json
    json_extract_path_text(json, text, ...) text
    json_strip_nulls(json) json
    json_typeof(json) text
    jsonb_array_length(jsonb) int4
    jsonb_build_array() jsonb
    jsonb_build_array(any, ...) jsonb
    jsonb_build_object() jsonb
    jsonb_build_object(any, any, ...) jsonb
    jsonb_extract_path(jsonb, text, ...) jsonb
    jsonb_extract_path_text(jsonb, text, ...) text
    jsonb_pretty(jsonb) text
    jsonb_set(jsonb, _text, jsonb) jsonb
    jsonb_strip_nulls(jsonb) jsonb
    jsonb_typeof(jsonb) text
    to_json(any) json
    to_jsonb(any) jsonb
    """,
    "scalar",
)

JSON_AGGREGATES = read_table(
    """
    json_agg(any) json
    json_object_agg(any, any) json
    jsonb_agg(any) jsonb
    jsonb_object_agg(any, any) jsonb
    """,
    "aggregate",
)
