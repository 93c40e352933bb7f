"""Finds values that a name in the same text gives away: `password=x`, `"token": "x"`, `<pwd>x</`.

Pure text, no parser: a log line is seldom a whole document, and a cut-off one is never. Every
search takes time linear in the text: quantifiers are possessive or bounded.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import re2

from tapeline.redaction.filters import (
    MAX_LOOK,
    is_opaque,
    is_published,
    shannon_entropy,
    value_reason,
)
from tapeline.redaction.key_words import HOLDERS, TYPES, KeyWords, NameFinding
from tapeline.redaction.masks import end_of_mask
from tapeline.redaction.rule import Strength
from tapeline.redaction.spans import Spans

__all__ = ["Assignment", "assignments", "is_part_of_path", "judge_value", "leads_to"]


class Assignment(NamedTuple):
    """A value under a secret's name: where it stands, and why it is none if it is none.

    `quote` is where the quotes of its name stand, if the value has none of its own: they are put
    around the mask, which keeps JSON valid where a bare number is replaced.
    """

    rule: str
    start: int
    end: int
    quote: tuple[int, int]
    reason: str


# What makes a run of characters a name: what stands behind it.
_MARKED: Final = (
    r"(?P<close>[\"'`\])*]{0,4}+)"
    r"(?:[ \t]{0,16}+(?P<mark>=>|->|<-|:{0,3}+=(?!=)|[?.+]=|\|\|=|={2,3}+|::(?=[ \t])|:(?!:))"
    r"|[ \t]{0,4}+(?P<comma>,)(?=\s{0,16}+[bu]?[\"'`]))"
)
_UNNAMED_MARKED: Final = re.sub(r"\?P<\w+>", "?:", _MARKED)
# A name begins where its run of characters does, so each run is read once. The runs that are none
# are passed over within the pattern, which takes a third of the time of a search.
_PAIR: Final = re.compile(
    rf"(?:(?<=[\w.\-])[\w.\-]++)?+(?:[^\w.\-]*+[\w.\-]++(?!{_UNNAMED_MARKED}))*+"
    rf"[^\w.\-]*+(?P<name>[\w.\-]++){_MARKED}"
)
# Options of a command line take their value after a blank.
_OPTION: Final = re.compile(
    r"(?<![\w.\-])--(?P<name>[\w.\-]++)(?P<close>)(?P<mark>)(?P<comma>)(?=[ \t]{1,8}+[^\s\-=:])"
)
_ELEMENT: Final = re.compile(
    r"<(?:[\w\-]{1,64}+:)?(?P<name>[\w.\-]{1,128}+)(?P<attributes>[ \t\r\n][^<>]{0,512}+)?>"
    r"\s{0,64}+(?:<!\[CDATA\[)?(?P<value>[^<>\]]++)(?=(?:\]\]>)?</|(?P<cut>\Z))"
)
_WORD_BEFORE: Final = re.compile(r"(?<![\w\-])[\w\-]{1,30}+(?=[ \t]\Z)")
_BEFORE_LENGTH: Final = 32
# `arn:aws:secretsmanager:eu-west-1:123456789012:secret:desk` is the name of one.
_ARN_LENGTH: Final = 128
_ARN: Final = re.compile(r"arn:[\w\-]{1,16}:[\w\-]{1,32}:[\w\-]{0,32}:[0-9]{0,16}:\Z")
_ANNOTATION: Final = re.compile(
    r"(?:string|String|str|bytes|text|[A-Z]\w{0,24}(?:\[\w{1,16}\])?)\??[ \t]{0,4}+(?::?=)(?!=)"
)

_GAP: Final = re.compile(
    r"(?:\*{1,2}(?=[ \t]))?[ \t]{0,16}+(?:[|>][+\-]?[ \t]{0,8}+\r?\n[ \t]{1,64}+)?"
)
_GAP_IN_JSON: Final = re.compile(r"\s{0,64}+")
_GAP_BEGINS: Final = frozenset(" \t\n\r\f\v\x1c\x1d\x1e\x1f|>*")
_OPENING: Final = re.compile(
    r"(?:(?:[A-Za-z_][\w.]{0,31}+\(\s{0,32}+){1,3}+|\[\]string\{|string\([0-9]{1,5}+\)[ ])?"
    r"(?:[bBruRfLN@]{1,2}+(?=[\"']))?(?P<quote>\"\"\"|'''|[\"'`])"
)
_TO_QUOTE_LENGTH: Final = 256
"""More than can stand before the quote that `_OPENING` ends with."""
_CLOSINGS: Final = {
    quote: re.compile(rf"(?<!\\)(?:\\\\)*+{quote}") for quote in ('"', "'", "`", '"""', "'''")
}
# A quoted string counts as one piece, since brackets in it mean nothing; an open one has no end.
_BRACKET: Final = re.compile(r"[\[{]|[\]}]|\"(?:[^\"\\]++|\\(?:.|\Z))*+(?:\"|\Z)", re.DOTALL)
# A schema of a value, and no value: no key that could hold one.
_SCHEMA: Final = re.compile(
    r"\{\s{0,64}+(?:,?\s{0,64}+\"(?:type|name|in|format|minLength|maxLength|pattern|title|nullable"
    r"|writeOnly|readOnly)\"\s{0,8}+:\s{0,8}+(?:\"[^\"\\]{0,200}+\"|[a-z0-9]{1,20}+)\s{0,64}+){1,16}+\}\Z"
)

# How far a value goes that stands in no quotes, by the rule of its name and by what is around it.
_WORD: Final = re.compile(r"(?:[^\s&;,\"'`<>|)}\]\\\x00-\x1f]++|\\(?![nrt\"'`u\\]))++")
_HEADER_WORD: Final = re.compile(r"(?:[^\s;,\"'`<>)}\]\\\x00-\x1f]++|\\(?![nrt\"'`u\\]))++")
_QUERY_WORD: Final = re.compile(r"[^\s&\"'<>#\\\x00-\x1f]++")
_CONNECTION_WORD: Final = re.compile(r"[^;\r\n\"'`]++")
_LINE: Final = re.compile(r"[^\r\n\"'`]++")
_WHOLE_LINE: Final = re.compile(r"[^\r\n]++")
_PHRASE: Final = re.compile(r"[^\r\n,;\"'`&|<>{}\[\]()]++")
_COOKIES: Final = re.compile(r"[^\s;,\"'`]++(?:;[ \t]{0,4}+[^\s;,\"'`]*+)*+")
_AUTHORIZATION: Final = re.compile(
    r"(?:(?i:bearer|basic|token|api-?key|api-?token|geniekey|key|negotiate|ntlm|splunk|sharedkey"
    r"|jwt|bot|custom|hmac|snowflake)[ \t]{1,4}+)?+[^\s;,\"'`<>)}\]\\]++"
)
_AUTHORIZATION_HEADER: Final = re.compile(
    r"(?:[A-Za-z][A-Za-z0-9\-]{1,31}+[ \t]{1,4}+)?+[^\s;,\"'`<>)}\]\\]++"
)
_EXTENTS: Final = {
    "cookie": _COOKIES,
    "connection-string": _LINE,
    "recovery-phrase": _PHRASE,
}
_EXTENTS_AFTER_COLON: Final = {"authorization": _AUTHORIZATION_HEADER, "passphrase": _PHRASE}
_EXTENTS_AFTER_EQUALS: Final = {"authorization": _AUTHORIZATION}
_EXTENTS_BY_NEIGHBOUR: Final = {
    "?": _QUERY_WORD,
    "&": _QUERY_WORD,
    "#": _QUERY_WORD,
    ";": _CONNECTION_WORD,
}
# Schemes whose parameters are further quoted or comma-separated pairs of the same header.
_MANY_PARAMETERS: Final = re.compile(r"(?i:digest|oauth|hawk|mac|aws4-hmac-sha256|signature)[ \t]")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9\-]{1,31}[ \t]+(?:token=)?")
_SCHEME_ALONE: Final = re.compile(
    r"(?i:bearer|basic|digest|negotiate|ntlm|token|required|optional|none|oauth2?|apikey)\Z"
)

# `name: password, value: x`: the value's name is itself a value.
_HELD: Final = re.compile(
    r"[ \t]{0,8}+(?:[\"'`](?P<held>[\w.\- ]{2,64}+)[\"'`]|(?P<bare>[\w.\-]{2,64}+))"
)
_HELD_VALUE: Final = re.compile(
    r"[ \t]{0,8}+[,;]?\s{0,32}+[\"']?(?:(?:secret|string|default|plain|raw)_)?"
    r"(?i:value|val|default|content)[\"']?[ \t]{0,8}+(?:=>|[:=])"
)

# Half the cost of calling the named tuples.
_new: Final = tuple.__new__

MIN_VENDOR_VALUE: Final = 16
MIN_VENDOR_ENTROPY: Final = 3.0


def assignments(
    text: str,
    names: KeyWords,
    masks: Sequence[tuple[int, int]],
    covered: Spans | None = None,
    loose: list[int] | None = None,
    ends: Sequence[int] | None = None,
) -> list[Assignment]:
    """Return the values of a text whose name means a secret, those that pass all the same included.

    `masks` are where the masks stand that are in the text already, in order: a mask is no value,
    and what is in it is no name. `covered` are where secrets stand that their own shape gave away:
    a value that is part of one is none the less a secret for what its name says of values. To
    `loose` a place is added for each name that may mean a secret but has no value here. `ends` are
    where in the text the names that mean a secret may end, in order, where that is known.
    """
    last = ends[-1] if ends else len(text)
    found = _scan(_PAIR.match, text, names, masks, covered, loose, last)
    if "--" in text:
        found += _scan(_OPTION.search, text, names, masks, covered, loose, last)
    if "<" in text:
        if loose is not None:
            loose.append(0)
        found += _elements(text, names, masks)
    return found


_PART_OF_PATH: Final = re.compile(r"[\w.\-]*+/", re.ASCII)


def is_part_of_path(text: str, end: int) -> bool:
    """Say whether a name that ends at a place is a host's or a folder's, and so has no value.

    Nothing that gives a name its value begins with a slash.
    """
    return _PART_OF_PATH.match(text, end - 1) is not None


# From within a name to a value that begins right after: nothing else can be the value.
_TO_VALUE: Final = re.compile(r"[\w.\-]*+(?:=[\"']?|[\"']?:[ ]?[\"']?)", re.ASCII)


def leads_to(text: str, end: int, value: int) -> bool:
    """Say whether a name that ends at or behind one place has the value that begins at another.

    False also where that is not plain.
    """
    return _TO_VALUE.fullmatch(text, end - 1, value) is not None


def judge_value(finding: NameFinding, value: str, *, bare: bool) -> str:
    """Say why a value is no secret under a name, or return an empty text if it is one."""
    # A form says more than the strength could.
    strength = finding.strength if finding.form is None else Strength.ANY
    reason = value_reason(value, strength, bare=bare)
    if reason:
        return reason
    stripped = value.strip()
    if finding.form is not None and not _has_form(finding.form, stripped):
        return "has another form than the secrets of this name"
    if is_published(stripped, finding.published):
        return "is a published sample"
    if finding.alone_length and (
        not is_opaque(stripped)
        or len(stripped) < finding.alone_length
        or shannon_entropy(stripped) < MIN_VENDOR_ENTROPY
    ):
        return "could be a word or an identifier"
    if finding.vendor and not any(character.isdigit() for character in stripped):
        return "" if len(stripped) >= MIN_VENDOR_VALUE else "could be a word"
    return ""


def _has_form(form: re2._Regexp, value: str) -> bool:
    # What is too long to look at is a secret here as well, or its rest would be searched again.
    return len(value) > MAX_LOOK or form.fullmatch(value.encode()) is not None


class _Pair(NamedTuple):
    """A name that means a secret, and where its value begins."""

    finding: NameFinding
    start: int
    close: str
    close_start: int
    mark: str
    before: str


def _scan(  # noqa: PLR0913, PLR0917 - private, for speed
    find: Callable[[str, int], re.Match[str] | None],
    text: str,
    names: KeyWords,
    masks: Sequence[tuple[int, int]],
    covered: Spans | None,
    loose: list[int] | None,
    last: int,
) -> list[Assignment]:
    """Return the values of names; `last` is where the last of them ends that means a secret."""
    asks_nothing = names.asks_nothing
    values: list[Assignment] = []
    position = behind = 0
    # Behind a mark, no name goes on, and none is part of what the next one means.
    while behind < last and (match := find(text, position)):
        position = behind = match.end()
        if asks_nothing(match[1]):
            continue
        pair = _pair(text, match, names)
        found = None
        if pair is not None and not (masks and end_of_mask(masks, match.start(1))):
            found = _value(text, pair, masks, covered)
        if found is None:
            if loose is not None:
                loose.append(position)
            continue
        values.append(found)
        if not found.reason and found.end > position:
            # What a secret's value holds is not searched again: so all values together are read
            # once.
            position = found.end
            later = _later_value(text, found)
            if later is not None:
                values.append(later)
                position = later.end
    return values


# `api_secret: old -> new`; what has no digit is rather a word about it.
_LATER: Final = re.compile(
    r"[\"'`]?[ \t]{0,4}+(?:->|=>)[ \t]{0,4}+[\"'`]?"
    r"(?P<value>(?=[^0-9\s]{0,200}+[0-9]|[A-Za-z]{16})[^\s\"'`,;()\[\]{}<>]{6,512}+)"
)


_TO_ARROW_LENGTH: Final = 8


def _later_value(text: str, found: Assignment) -> Assignment | None:
    """Return the value that took the place of one under a secret's name."""
    # Most texts have no arrow.
    if ">" not in text[found.end : found.end + _TO_ARROW_LENGTH]:
        return None
    later = _LATER.match(text, found.end)
    if later is None:
        return None
    return _new(Assignment, (found.rule, later.start("value"), later.end(), (0, 0), ""))


def _pair(text: str, match: re.Match[str], names: KeyWords) -> _Pair | None:
    name, close, mark, comma = match.groups()
    start, value_start = match.start(1), match.end()
    # `{password, "x"}`: a pair of Erlang's.
    if comma and not close and text[max(0, start - 1) : start] != "{":
        return None
    finding = names.finding(name, "")
    if finding is None and (name in TYPES or names.is_end_of_term(name)):
        word = _WORD_BEFORE.search(text, max(0, start - _BEFORE_LENGTH), start)
        if word:
            finding = names.finding(*((word[0], "") if name in TYPES else (name, word[0])))
    if finding is None and mark and name.lower() in HOLDERS:
        finding, value_start = _held(text, value_start, names)
    if finding is None or (start and text[start - 1] == ":" and _is_in_arn(text, start)):
        return None
    if text[value_start : value_start + 1] in _GAP_BEGINS:
        gap = (_GAP_IN_JSON if '"' in close or comma else _GAP).match(text, value_start)
        value_start = gap.end() if gap else value_start
    annotation = _ANNOTATION.match(text, value_start) if mark == ":" else None
    if annotation is not None:
        gap = _GAP.match(text, annotation.end())
        value_start = gap.end() if gap else annotation.end()
    before = text[start - 1] if start else ""
    return _new(_Pair, (finding, value_start, close, match.start(2), mark or comma or "", before))


def _is_in_arn(text: str, start: int) -> bool:
    """Say whether what begins here is the kind of a resource in a name of Amazon's."""
    return _ARN.search(text, max(0, start - _ARN_LENGTH), start) is not None


def _held(text: str, start: int, names: KeyWords) -> tuple[NameFinding | None, int]:
    held = _HELD.match(text, start)
    if held is None:
        return None, start
    finding = names.finding(held["held"] or held["bare"], "")
    value = _HELD_VALUE.match(text, held.end()) if finding else None
    return (finding, value.end()) if finding and value else (None, start)


_QUOTE: Final = re.compile(r"[\"']")


def _value(
    text: str,
    pair: _Pair,
    masks: Sequence[tuple[int, int]],
    covered: Spans | None,
) -> Assignment | None:
    """Return the value of a pair; None where there is nothing at all."""
    start, quote = pair.start, (0, 0)
    opening = None
    near = text[start : start + _TO_QUOTE_LENGTH]
    if '"' in near or "'" in near or "`" in near:
        opening = _OPENING.match(text, start)
    if opening is not None:
        start = opening.end()
        end = _quoted_end(text, start, opening["quote"])
    elif pair.mark == ",":
        return None
    else:
        quoted = _QUOTE.search(pair.close) if pair.close else None
        if quoted:
            quote = (pair.close_start + quoted.start(), pair.close_start + quoted.end())
        end = _bare_end(text, pair)
    if start >= end or (masks and end_of_mask(masks, start)):
        return None
    if covered and covered.cover(start, end):
        return _new(Assignment, (pair.finding.rule, start, end, quote, ""))
    value = text[start:end]
    if opening is not None and opening["quote"] == "`" and " " in value:
        reason = "is a command whose output is the value"
    else:
        reason = _reason(pair, value, opening is None)
        if reason and opening is None and _ends_sentence(value):
            # A full stop is no part of a code, and hides what has an exact form.
            rest = _reason(pair, value[:-1], True)  # noqa: FBT003 - as above
            end, reason = (end, reason) if rest else (end - 1, rest)
    return _new(Assignment, (pair.finding.rule, start, end, quote, reason))


def _ends_sentence(value: str) -> bool:
    return value[-1] in ".!?" and value[-2:-1].isalnum()


def _reason(pair: _Pair, value: str, bare: bool) -> str:  # noqa: FBT001 - private, for speed
    if pair.finding.rule == "authorization":
        scheme = _SCHEME.match(value)
        if scheme is not None:
            value = value[scheme.end() :]
        elif _SCHEME_ALONE.match(value.strip()):
            return "is the scheme alone"
    if pair.mark == "," and not _NO_ITEM.match(value):
        return "could be the next item of a list"
    if bare and value[:1] == "{" and '"type"' in value and _SCHEMA.match(value):
        return "describes the value"
    if bare and value[:1] in {"{", "["} and pair.finding.strength is Strength.OPAQUE:
        item = _ONE_ITEM.match(value)
        return judge_value(pair.finding, item[2], bare=False) if item else "holds names of its own"
    return judge_value(pair.finding, value, bare=bare)


# Headers are printed as lists, most of them of one value. A list of several tokens is of assets.
_ONE_ITEM: Final = re.compile(r"\[\s{0,64}+([\"'])([^\"'\\]{1,4096}+)\1\s{0,64}+\]\Z")

# The next item of a list is a word; a credential in its place has digits.
_NO_ITEM: Final = re.compile(r"(?=[^0-9]{0,200}[0-9])[^\s]{8,}\Z")


def _quoted_end(text: str, start: int, quote: str) -> int:
    """Return where a quoted value ends; the end of the text if it was cut off."""
    closing = _CLOSINGS[quote].search(text, start)
    return closing.end() - len(quote) if closing else len(text)


def _bare_end(text: str, pair: _Pair) -> int:
    """Return where a value without quotes ends."""
    if text[pair.start : pair.start + 1] in {"{", "["} and (
        pair.close or text[pair.start + 1 : pair.start + 2] in {'"', "'"}
    ):
        return _bracketed_end(text, pair.start)
    value = _extent(text, pair).match(text, pair.start)
    return value.end() if value else pair.start


def _bracketed_end(text: str, start: int) -> int:
    depth = 0
    for bracket in _BRACKET.finditer(text, start):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(bracket[0], 0)
        if depth == 0:
            return bracket.end()
    return len(text)


_TEMPLATE: Final = re.compile(
    r"\$?\{\{?[^{}\r\n]{0,200}+\}\}?|\$\([^()\r\n]{0,200}+\)|<[^<>\r\n]{0,200}+>"
)


_TEMPLATE_BEGINS: Final = frozenset("${<")


def _extent(text: str, pair: _Pair) -> re.Pattern[str]:
    """Choose how far a value goes, by what kind of secret it is and by what is around it."""
    rule = pair.finding.rule
    if text[pair.start : pair.start + 1] in _TEMPLATE_BEGINS and _TEMPLATE.match(text, pair.start):
        return _TEMPLATE
    if rule == "authorization" and _MANY_PARAMETERS.match(text, pair.start):
        return _WHOLE_LINE
    if rule in _EXTENTS:
        return _EXTENTS[rule]
    if pair.mark == ":":
        return _EXTENTS_AFTER_COLON.get(rule, _HEADER_WORD)
    return _EXTENTS_AFTER_EQUALS.get(rule) or _EXTENTS_BY_NEIGHBOUR.get(pair.before, _WORD)


_NAME_ATTRIBUTE: Final = re.compile(r"\s(?:name|key|id)=[\"'](?P<held>[\w.\-]{2,64}+)[\"']")
_HELD_LENGTH: Final = 64
_NO_WORD: Final = re.compile(r"[\s/\"'{}]|\A@|\A\w{1,64}=")


_TO_NEXT_ELEMENT: Final = re.compile(r"(?:\]\]>)?</[\w.:\-]{1,128}+>\s{0,64}+(?=<)")


def _elements(text: str, names: KeyWords, masks: Sequence[tuple[int, int]]) -> Iterator[Assignment]:
    named, begin = None, 0
    for element in _ELEMENT.finditer(text):
        finding = names.finding(element["name"], "")
        if finding is None and element["attributes"]:
            held = _NAME_ATTRIBUTE.search(element["attributes"])
            finding = names.finding(held["held"], "") if held else None
        if finding is None and named is not None and element.start() == begin:
            finding = named
        named = None
        if (
            finding is None
            and element["name"].lower() in HOLDERS
            and len(element["value"]) <= _HELD_LENGTH
        ):
            # `<name>password</name><value>x</value>`
            named = names.finding(element["value"], "")
            to_next = _TO_NEXT_ELEMENT.match(text, element.end()) if named else None
            begin = to_next.end() if to_next else 0
        if finding is None or (masks and end_of_mask(masks, element.start("value"))):
            continue
        value = element["value"].rstrip()
        cut_off_prose = element["cut"] is not None and _NO_WORD.search(value)
        if value and not cut_off_prose:
            start = element.start("value")
            reason = judge_value(finding, value, bare=True)
            yield Assignment(finding.rule, start, start + len(value), (0, 0), reason)
