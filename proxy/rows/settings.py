"""The session settings that change the text of a value (PostgreSQL manual, 20.11.2)."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.rows.errors import UnsupportedSetting

DATE_FORMATS = {"iso": "ISO", "sql": "SQL", "postgres": "Postgres", "german": "German"}
DATE_ORDERS = {
    "ymd": "YMD",
    "dmy": "DMY",
    "mdy": "MDY",
    "euro": "DMY",
    "european": "DMY",
    "us": "MDY",
    "noneuro": "MDY",
    "noneuropean": "MDY",
}
INTERVAL_STYLES = ("postgres", "postgres_verbose", "sql_standard", "iso_8601")
BYTEA_OUTPUTS = ("hex", "escape")


@dataclass(frozen=True, slots=True)
class TextSettings:
    """Values of the run-time parameters, written as ``SHOW`` prints them.

    Attributes:
        time_zone: ``TimeZone``: an IANA name or a POSIX zone text (``<-05>+05``).
        date_style: ``DateStyle``: output format and field order.
        interval_style: ``IntervalStyle``.
        extra_float_digits: -15 to 3; above zero means the shortest text that reads back equal.
        bytea_output: ``hex`` or ``escape``.
    """

    time_zone: str = "UTC"
    date_style: str = "ISO, MDY"
    interval_style: str = "postgres"
    extra_float_digits: int = 1
    bytea_output: str = "hex"

    def are_usual(self) -> bool:
        """Whether every value gets the text that a new session's settings give it.

        The time zone aside. Above zero all ``extra_float_digits`` mean the same, and the order of
        ``DateStyle`` is for reading where the output is ISO.
        """
        return (
            self.date_format()[0] == "ISO"
            and self.interval_style == "postgres"
            and self.extra_float_digits > 0
            and self.bytea_output == "hex"
        )

    def date_format(self) -> tuple[str, str]:
        """Output format and field order of ``DateStyle``: (``ISO``, ``MDY``)."""
        output, order = "ISO", "MDY"
        for part in self.date_style.lower().split(","):
            word = part.strip()
            if word in DATE_FORMATS:
                output = DATE_FORMATS[word]
            elif word in DATE_ORDERS:
                order = DATE_ORDERS[word]
            elif word:
                raise UnsupportedSetting(f'unsupported value of parameter "DateStyle": "{word}"')
        return output, order
