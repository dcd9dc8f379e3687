"""Bind parameters: the bytes of a value, in text or binary, to the value a warehouse is given.

Errors are PostgreSQL's own: its SQLSTATE and its message, so that a client cannot tell who read the
value. Texts that only PostgreSQL's own parser knows (``yesterday``, ``Jan 5``) raise NeedsServer.
"""

from __future__ import annotations

from proxy.rows import parameter_arrays, parameter_binary, parameter_text, parameter_times
from proxy.rows.errors import ParameterError
from proxy.rows.parameter_text import Decoder, checked_text
from proxy.rows.settings import TextSettings

_DEFAULTS = TextSettings()
_TEXT: dict[str, Decoder] = {**parameter_text.DECODERS, **parameter_times.DECODERS}
_BINARY = parameter_binary.DECODERS


def decode_parameter(
    data: bytes | None,
    type_name: str,
    form: int,
    settings: TextSettings = _DEFAULTS,
    *,
    number: int = 1,
) -> object:
    """The value of a parameter, in the forms that ``connectors.base.Parameter`` lists.

    Args:
        data: the value's bytes as in Bind; None is NULL.
        type_name: ``pg_type.typname``.
        form: 0 (text) or 1 (binary).
        settings: the session's; a timestamptz without offset is read in its time zone.
        number: the parameter's number, for messages.

    Raises:
        ParameterError: 22P02, 22003, 22007, 22008, 22021, 22P03, 08P01 as PostgreSQL has them;
            0A000 for types and values that are not carried.
        NeedsServer: the text may be valid, but is not understood here.
    """
    if data is None:
        return None
    if form not in (0, 1):
        raise ParameterError("22023", f"unsupported format code: {form}")
    element = type_name.removeprefix("_")
    decoders: dict[str, Decoder] | dict[str, parameter_binary.BinaryDecoder]
    decoders = _TEXT if form == 0 else _BINARY
    if element not in decoders:
        raise ParameterError("0A000", f"parameters of type {type_name} are not supported")
    if form == 0:
        text, read = checked_text(data), _TEXT[element]
        if element != type_name:
            return parameter_arrays.from_text(text, lambda item: read(item, settings))
        return read(text, settings)
    reader = parameter_binary.Reader(data)
    if element != type_name:
        value: object = parameter_arrays.from_binary(reader, element, _BINARY[element])
    else:
        value = _BINARY[element](reader)
    if reader.left:
        raise ParameterError("22P03", f"incorrect binary data format in bind parameter {number}")
    return value
