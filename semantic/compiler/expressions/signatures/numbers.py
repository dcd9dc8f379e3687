"""Signatures of mathematical functions (manual, 9.3)."""

from __future__ import annotations

from semantic.compiler.expressions.signatures.registry import read_table

NUMBERS = read_table(
    """
    abs(float8) float8
    abs(int2) int2
    abs(int4) int4
    abs(int8) int8
    abs(numeric) numeric
    abs(float4) float4
    acos(float8) float8
    asin(float8) float8
    atan(float8) float8
    atan2(float8, float8) float8
    cbrt(float8) float8
    ceil(float8) float8
    ceil(numeric) numeric
    cos(float8) float8
    cosh(float8) float8
    cot(float8) float8
    degrees(float8) float8
    div(numeric, numeric) numeric
    exp(float8) float8
    exp(numeric) numeric
    factorial(int8) numeric
    floor(float8) float8
    floor(numeric) numeric
    gcd(int4, int4) int4
    gcd(int8, int8) int8
    gcd(numeric, numeric) numeric
    lcm(int4, int4) int4
    lcm(int8, int8) int8
    lcm(numeric, numeric) numeric
    ln(float8) float8
    ln(numeric) numeric
    log(float8) float8
    log(numeric) numeric
    log(numeric, numeric) numeric
    log10(float8) float8
    log10(numeric) numeric
    mod(int2, int2) int2
    mod(int4, int4) int4
    mod(int8, int8) int8
    mod(numeric, numeric) numeric
    pi() float8
    power(float8, float8) float8
    power(numeric, numeric) numeric
    radians(float8) float8
    random() float8
    round(float8) float8
    round(numeric) numeric
    round(numeric, int4) numeric
    sign(float8) float8
    sign(numeric) numeric
    sin(float8) float8
    sinh(float8) float8
    sqrt(float8) float8
    sqrt(numeric) numeric
    tan(float8) float8
    tanh(float8) float8
    trunc(float8) float8
    trunc(numeric) numeric
    trunc(numeric, int4) numeric
    acosd(float8) float8
    acosh(float8) float8
    asind(float8) float8
    asinh(float8) float8
    atan2d(float8, float8) float8
    atand(float8) float8
    atanh(float8) float8
    cosd(float8) float8
    cotd(float8) float8
    erf(float8) float8
    erfc(float8) float8
    gen_random_uuid() uuid
    min_scale(numeric) int4
    scale(numeric) int4
    sind(float8) float8
    tand(float8) float8
    trim_scale(numeric) numeric
    width_bucket(float8, float8, float8, int4) int4
    width_bucket(numeric, numeric, numeric, int4) int4
    num_nonnulls(any, ...) int4
    num_nulls(any, ...) int4
    """,
    "scalar",
)
