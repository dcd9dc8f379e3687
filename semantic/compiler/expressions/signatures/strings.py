"""Signatures of string and pattern functions (manual, 9.4 and 9.7)."""

from __future__ import annotations

from semantic.compiler.expressions.signatures.registry import read_table

STRINGS = read_table(
    """
    ascii(text) int4
    bit_length(text) int4
    btrim(text) text
    btrim(text, text) text
    chr(int4) text
    concat(any, ...) text
    concat_ws(text, any, ...) text
    convert_from(bytea, name) text
    convert_to(text, name) bytea
    decode(text, text) bytea
    encode(bytea, text) text
    format(text) text
    format(text, any, ...) text
    initcap(text) text
    left(text, int4) text
    length(text) int4
    length(bytea) int4
    lower(text) text
    lpad(text, int4) text
    lpad(text, int4, text) text
    ltrim(text) text
    ltrim(text, text) text
    md5(text) text
    md5(bytea) text
    octet_length(text) int4
    octet_length(bytea) int4
    overlay(text, text, int4) text
    overlay(text, text, int4, int4) text
    quote_literal(any) text
    quote_nullable(any) text
    repeat(text, int4) text
    replace(text, text, text) text
    reverse(text) text
    right(text, int4) text
    rpad(text, int4) text
    rpad(text, int4, text) text
    rtrim(text) text
    rtrim(text, text) text
    sha256(bytea) bytea
    split_part(text, text, int4) text
    starts_with(text, text) bool
    strpos(text, text) int4
    substring(text, text) text
    substring(text, int4) text
    substring(text, int4, int4) text
    substring(text, text, text) text
    to_hex(int4) text
    to_hex(int8) text
    translate(text, text, text) text
    upper(text) text
    get_byte(bytea, int4) int4
    quote_ident(text) text
    regexp_count(text, text) int4
    regexp_count(text, text, int4) int4
    regexp_instr(text, text) int4
    regexp_instr(text, text, int4) int4
    regexp_like(text, text) bool
    regexp_like(text, text, text) bool
    regexp_match(text, text) _text
    regexp_match(text, text, text) _text
    regexp_replace(text, text, text) text
    regexp_replace(text, text, text, text) text
    regexp_split_to_array(text, text) _text
    regexp_replace(text, text, text, int4) text
    regexp_replace(text, text, text, int4, int4) text
    regexp_substr(text, text) text
    regexp_substr(text, text, int4) text
    regexp_substr(text, text, int4, int4) text
    sha224(bytea) bytea
    sha384(bytea) bytea
    sha512(bytea) bytea
    substring(bytea, int4) bytea
    substring(bytea, int4, int4) bytea
    unistr(text) text
    string_to_array(text, text) _text
    string_to_array(text, text, text) _text
    array_to_string(anyarray, text) text
    array_to_string(anyarray, text, text) text
    """,
    "scalar",
)
