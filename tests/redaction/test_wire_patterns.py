"""The names that the scan looks for: as few as are enough."""

import re
from itertools import product

from redaction_pack import default_judge
from tapeline.redaction.pack import load_pack
from tapeline.redaction.wire_patterns import wire_patterns

_JOIN = rb"[^a-z0-9]*"


def test_a_name_is_left_out_only_where_a_shorter_one_is_always_in_it() -> None:
    """Any way to write each name of the rules: one of the patterns that are left finds it."""
    judge = default_judge()
    names = judge.name_expressions
    patterns = wire_patterns(
        load_pack(), names, judge.beginnings_of_names, judge.vendor_expressions, depth=0
    )
    alone = [pattern for pattern, _ in patterns.strong if pattern.replace(_JOIN, b"").isalnum()]
    find = re.compile(b"|".join(alone)).search
    spelled = [name.split(_JOIN) for name in names if name.replace(_JOIN, b"").isalnum()]
    assert len(alone) < len(spelled)
    for words in spelled:
        for joins in product((b"", b"_", b" .", b"-"), repeat=len(words) - 1):
            joined = words[0] + b"".join(map(bytes.__add__, joins, words[1:]))
            assert find(joined), joined


def test_two_ways_to_split_one_word_are_both_kept() -> None:
    """`a bc` and `ab c` are the same letters, and neither finds the other with its blank."""
    names = [rb"a[^a-z0-9]*bc", rb"ab[^a-z0-9]*c"]

    strong = [name for name, _ in wire_patterns(load_pack(), names, (), (), depth=0).strong]

    assert set(names) <= set(strong)
