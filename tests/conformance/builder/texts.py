"""Bytes that are no JSON text, and texts that hide one member behind another: the same for every body of every version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.conformance.builder.entries import compact, replaced

if TYPE_CHECKING:
    from tests.conformance.builder.entries import Decoding

MALFORMED, DUPLICATE, TOO_LARGE = "message.malformed", "message.duplicate_key", "message.too_large"
MAX_PAYLOAD_BYTES = 65_536
DEPTH = 10_000


def malformed(out: Decoding, kind: str, body: Any) -> None:
    """Payloads that are no JSON text (RFC 8259)."""
    text = compact(body)
    raw = text.encode()
    for name, why, content in (
        ("empty", "An empty payload is no message; in MQTT it deletes a retained one", ""),
        ("white space alone", "RFC 8259 section 2: a JSON text is a value", " \n\t"),
        ("a byte order mark", "RFC 8259 section 8.1: a JSON text does not begin with one", "\ufeff" + text),
        ("UTF-16", "RFC 8259 section 8.1: UTF-8 alone", text.encode("utf-16")),
        ("UTF-16 without a mark", "RFC 8259 section 8.1: UTF-8 alone; some parsers guess", text.encode("utf-16-le")),
        ("UTF-32", "RFC 8259 section 8.1: UTF-8 alone", text.encode("utf-32")),
        ("a byte that is not UTF-8", "RFC 3629; replacing it would change an id", raw.replace(b"max300", b"max\xff00")),
        (
            "an overlong encoding",
            "RFC 3629 section 3: / must not be hidden in two bytes",
            raw.replace(b"max300", b"max\xc0\xaf"),
        ),
        ("a surrogate in UTF-8", "RFC 3629 section 3: U+D800 is no character", raw.replace(b"max300", b"\xed\xa0\x80")),
        (
            "half of a surrogate pair",
            "It is no character, and no UTF-8 can be written of it",
            replaced(text, "max300", "max\\ud800"),
        ),
        ("a low surrogate alone", "It is no character", replaced(text, "max300", "\\udc00")),
        (
            "a low surrogate before a high one",
            "Together they are no character either",
            replaced(text, "max300", "\\udc00\\ud83d"),
        ),
        (
            "half of a pair in an unknown member",
            "Members that are not read are parsed all the same",
            text[:-1] + ',"x":"\\ud83d"}',
        ),
        ("cut in the middle", "A truncated message must not become a shorter plan", text[: len(text) // 2]),
        ("cut before its last byte", "A truncated message is no message", text[:-1]),
        ("a second value behind", "Trailing bytes are an error in every encoding", text + "{}"),
        ("the same message twice", "Trailing bytes are an error in every encoding", text + text),
        ("a NUL behind", "A C string's end is no part of a payload", text + "\u0000"),
        ("a letter behind", "Trailing bytes are an error in every encoding", text + "x"),
        ("a comma behind the last member", "RFC 8259 section 4", text[:-1] + ",}"),
        ("two commas", "RFC 8259 section 4", replaced(text, ",", ",,")),
        ("no comma", "RFC 8259 section 4", replaced(text, ',"', '"')),
        ("no colon", "RFC 8259 section 4", replaced(text, '":', '"')),
        ("a comment", "RFC 8259 has none", text + "/* fine */"),
        ("single quotes", "RFC 8259 section 7", text.replace('"', "'")),
        ("a name without quotes", "RFC 8259 section 4", replaced(text, '"device_id"', "device_id")),
        ("a newline in a string", "RFC 8259 section 7: control characters are escaped", replaced(text, "max300", "max\n300")),
        ("a tab in a string", "RFC 8259 section 7: control characters are escaped", replaced(text, "max300", "max\t300")),
        ("an unknown escape", "RFC 8259 section 7", replaced(text, "max300", "max\\x33")),
        ("a short Unicode escape", "RFC 8259 section 7: four hex digits", replaced(text, "max300", "max\\u33")),
        ("True in Python's spelling", "RFC 8259 section 3", text[:-1] + ',"x":True}'),
        ("undefined", "RFC 8259 section 3", text[:-1] + ',"x":undefined}'),
        (
            "NaN in an unknown member",
            "RFC 8259 section 6 has no NaN; where no number is read it is a bad text",
            text[:-1] + ',"x":NaN}',
        ),
        ("a number with a leading zero", "RFC 8259 section 6", text[:-1] + ',"x":01}'),
        ("a number with a leading plus", "RFC 8259 section 6", text[:-1] + ',"x":+1}'),
        ("a number that ends in its point", "RFC 8259 section 6", text[:-1] + ',"x":1.}'),
        ("a number that begins with its point", "RFC 8259 section 6", text[:-1] + ',"x":.5}'),
        ("a number without its exponent", "RFC 8259 section 6", text[:-1] + ',"x":1e}'),
        ("a hexadecimal number", "RFC 8259 section 6", text[:-1] + ',"x":0x10}'),
        ("a minus alone", "RFC 8259 section 6", text[:-1] + ',"x":-}'),
        (
            f"arrays {DEPTH:,} deep",
            "RFC 8259 section 9: depth is bounded; it must cost neither the stack nor the process",
            "[" * DEPTH + "]" * DEPTH,
        ),
        (f"{DEPTH:,} open brackets", "The bomb that is never closed", "[" * DEPTH),
        (f"objects {DEPTH:,} deep", "RFC 8259 section 9", '{"a":' * DEPTH + "1" + "}" * DEPTH),
        (
            "deep arrays in an unknown member",
            "What is ignored is parsed all the same",
            text[:-1] + ',"x":' + "[" * DEPTH + "]" * DEPTH + "}",
        ),
    ):
        out.bad(name, why, kind, content, MALFORMED)
    fill = MAX_PAYLOAD_BYTES + 1 - len(text)
    why = "65,536 bytes are the most, looked at before anything is parsed"
    out.bad("a byte over the size limit", why, kind, text + " " * fill, TOO_LARGE)


def nested(depth: int) -> str:
    """Arrays in arrays."""
    return "[" * depth + "]" * depth


def no_object(out: Decoding, kind: str) -> None:
    """JSON texts that are no object."""
    for name, content in (
        ("null", "null"),
        ("an array", "[]"),
        ("a string", '"schedule"'),
        ("a number", "1"),
        ("true", "true"),
    ):
        out.bad(name, "A message is an object", kind, content, "message.invalid")


def duplicates(out: Decoding, kind: str, body: Any) -> None:
    """Keys that come more than once."""
    text = compact(body)
    why = "RFC 8259 section 4 leaves open which value counts: two receivers would read two messages"
    for name, more, path in (
        ("a device twice", '"device_id":"max300-0001",', "/device_id"),
        ("another device first", '"device_id":"max300-0002",', "/device_id"),
        ("a device spelled with an escape", '"device\\u005fid":"max300-0002",', "/device_id"),
        ("an unknown member twice", '"x":1,"x":1,', "/x"),
        ("a key twice within an unknown member", '"x":{"y":[0,{"z":1,"z":2}]},', "/x/y/1/z"),
        ("a key with characters of a pointer", '"x":{"a/b~c":1,"a/b~c":1},', "/x/a~1b~0c"),
        ("an empty key twice", '"x":{"":1,"":2},', "/x/"),
    ):
        out.bad(name, why, kind, replaced(text, "{", "{" + more), DUPLICATE, path)
    out.bad("another device last", why, kind, text[:-1] + ',"device_id":"max300-0002"}', DUPLICATE, "/device_id")


BAD_TIMES = (
    ("a leap second", "2016-12-31T23:59:60Z", "RFC 3339 allows it, this protocol does not: Unix time has no such instant"),
    ("hour 24", "2018-06-30T24:00:00Z", "RFC 3339 section 5.6: hours end at 23"),
    ("minute 60", "2018-06-30T18:60:00Z", "RFC 3339 section 5.6"),
    ("month 13", "2018-13-01T00:00:00Z", "RFC 3339 section 5.6"),
    ("31 April", "2018-04-31T00:00:00Z", "RFC 3339 section 5.7: the month's own length counts"),
    ("29 February of no leap year", "2018-02-29T00:00:00Z", "RFC 3339 appendix C"),
    ("a date alone", "2018-06-30", "A day is no instant"),
    ("a time without seconds", "2018-06-30T18:00Z", "ISO 8601 allows it, RFC 3339 section 5.6 does not"),
    ("a time in basic format", "20180630T180000Z", "ISO 8601 allows it, RFC 3339 section 5.6 does not"),
    ("a week date", "2018-W26-6T18:00:00Z", "ISO 8601 allows it, RFC 3339 section 5.6 does not"),
    ("a comma before the fraction", "2018-06-30T18:00:00,5Z", "ISO 8601 allows it, RFC 3339 section 5.6 does not"),
    ("a point without a fraction", "2018-06-30T18:00:00.Z", "RFC 3339 section 5.6: at least one digit"),
    ("an offset of hours alone", "2018-06-30T18:00:00+01", "RFC 3339 section 5.6"),
    ("an offset of 24 hours", "2018-06-30T18:00:00+24:00", "RFC 3339 section 5.6"),
    ("a zone's name", "2018-06-30T18:00:00 UTC", "RFC 3339 section 5.6: Z or an offset"),
    ("a newline behind the time", "2018-06-30T18:00:00Z\n", "Match in full"),
    ("a space before the time", " 2018-06-30T18:00:00Z", "Match in full"),
    ("a year of two digits", "18-06-30T18:00:00Z", "RFC 3339 section 5.6"),
    ("full-width digits", "\uff12\uff10\uff11\uff18-06-30T18:00:00Z", "\\d is wider than 0-9 in many languages"),
    ("an empty time", "", "It is no instant"),
    ("a Unix time as text", "1530381600", "It is no RFC 3339 time"),
    ("the year 1", "0001-01-01T00:00:00Z", "Instants lie from 1970 to 2199, so that no arithmetic overflows"),
    ("the last microsecond of 1969", "1969-12-31T23:59:59.999999Z", "Instants begin with 1970"),
    ("1969 by its offset", "1970-01-01T00:00:00+00:01", "The instant counts, not the digits"),
    ("the year 2200", "2200-01-01T00:00:00Z", "Instants end before 2200"),
    ("2200 by its offset", "2199-12-31T23:59:00-00:01", "The instant counts, not the digits"),
    ("the last year of four digits", "9999-12-31T23:59:59-23:59", "Beyond what many languages' times can hold"),
)
"""What stands for an instant and is none: name, text, why."""

GOOD_TIMES = (
    ("an offset to the east", "2018-06-30T19:00:00+01:00", "2018-06-30T18:00:00Z", "An offset says the same instant otherwise"),
    ("an offset to the west", "2018-06-30T13:00:00-05:00", "2018-06-30T18:00:00Z", "An offset says the same instant otherwise"),
    ("an offset over midnight", "2018-07-01T00:30:00+06:30", "2018-06-30T18:00:00Z", "The day is another one in UTC"),
    ("an offset of quarters", "2018-06-30T23:45:00+05:45", "2018-06-30T18:00:00Z", "Kathmandu"),
    (
        "the unknown offset",
        "2018-06-30T18:00:00-00:00",
        "2018-06-30T18:00:00Z",
        "RFC 3339 section 4.3: UTC, of a place unknown",
    ),
    (
        "a fraction of one digit",
        "2018-06-30T18:00:00.5Z",
        "2018-06-30T18:00:00.5Z",
        "RFC 3339 section 5.6: any number of digits",
    ),
    ("a fraction of six digits", "2018-06-30T18:00:00.000001Z", "2018-06-30T18:00:00.000001Z", "Microseconds are kept"),
    ("a fraction of nine digits", "2018-06-30T18:00:00.123456499Z", "2018-06-30T18:00:00.123456Z", "More digits are rounded"),
    ("a fraction that is rounded up", "2018-06-30T18:00:00.9999996Z", "2018-06-30T18:00:01Z", "To the nearest microsecond"),
    ("a small t and z", "2018-06-30t18:00:00z", "2018-06-30T18:00:00Z", "RFC 3339 section 5.6: either case is read"),
    ("a space between date and time", "2018-06-30 18:00:00Z", "2018-06-30T18:00:00Z", "RFC 3339 section 5.6 lets it be read"),
    ("a leap day", "2016-02-29T18:00:00Z", "2016-02-29T18:00:00Z", "RFC 3339 appendix C"),
    ("29 February 2000", "2000-02-29T00:00:00Z", "2000-02-29T00:00:00Z", "A century that is a leap year"),
    ("the first instant", "1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "A device may boot in 1970"),
    ("the last microsecond", "2199-12-31T23:59:59.999999Z", "2199-12-31T23:59:59.999999Z", "The last that is read"),
)
"""How instants may be written: name, text, the instant, why."""


def times(out: Decoding, kind: str, body: Any, member: str) -> None:
    """All ways of writing one instant, right and wrong."""
    text, old = compact(body), f'"{member}":"{body[member]}"'
    for name, written, instant, why in GOOD_TIMES:
        out.good(name, why, kind, replaced(text, old, f'"{member}":"{written}"'), {**body, member: instant})
    for name, written, why in BAD_TIMES:
        shown = written.replace("\n", "\\n")
        out.bad(name, why, kind, replaced(text, old, f'"{member}":"{shown}"'), "message.invalid", f"/{member}")
    naive = "An instant without an offset is another one in every zone (RFC 3339 section 4.4)"
    out.bad("a naive time", naive, kind, replaced(text, old, f'"{member}":"2018-06-30T18:00:00"'), "time.naive", f"/{member}")
    for name, value in (
        ("a time as a number", "1530381600"),
        ("a time that is null", "null"),
        ("a time that is an array", "[]"),
    ):
        out.bad(
            name, "An instant is a string", kind, replaced(text, old, f'"{member}":{value}'), "message.invalid", f"/{member}"
        )


BAD_IDS = (
    ("an empty id", '""', "At least one character"),
    ("an id of 65 characters", '"' + "a" * 65 + '"', "64 are the most"),
    ("an id with a newline at its end", '"plan\\n"', "In many languages $ matches before it: match in full"),
    ("an id with a slash", '"a/b"', "It would be two levels of a topic"),
    ("an id that is a wildcard", '"+"', "It would be every device's topic"),
    ("an id with a space", '"a b"', "Not in the alphabet"),
    ("an id with a NUL", '"a\\u0000"', "Not in the alphabet, and no end of a string"),
    ("an id with an umlaut", '"pl\u00e4n"', "Ids are ASCII"),
    ("an id of Arabic digits", '"\u0661\u0662"', "\\d is wider than 0-9 in many languages"),
    ("an id with a zero-width space", '"a\u200bb"', "Two ids must not look the same"),
    ("an id that is a number", "7", "An id is a string"),
    ("an id that is null", "null", "A required member"),
    ("an id that is true", "true", "An id is a string"),
)


def ids(out: Decoding, kind: str, body: Any) -> None:
    """Ids that are none, and ids that are barely so."""
    text = compact(body)
    for member in ("schedule_id", "device_id"):
        if member not in body:
            continue
        old = f'"{member}":"{body[member]}"'
        said = f"{'the device' if member == 'device_id' else 'the schedule'}"
        for name, value, why in BAD_IDS:
            out.bad(f"{said}: {name}", why, kind, replaced(text, old, f'"{member}":{value}'), "message.invalid", f"/{member}")
        whole = {key: value for key, value in body.items() if key != member}
        out.bad(f"{said} is missing", "A required member", kind, compact(whole), "message.invalid", f"/{member}")
        for name, value, why in (
            ("an id of 64 characters", "Z" * 64, "64 are the most"),
            ("an id of one hyphen", "-", "Any character of the alphabet may come first"),
        ):
            out.good(f"{said}: {name}", why, kind, compact({**body, member: value}), {**body, member: value})
        escaped = replaced(text, old, f'"{member}":"\\u0061\\u002d1"')
        out.good(f"{said}: written with escapes", "Escapes are spelling", kind, escaped, {**body, member: "a-1"})
