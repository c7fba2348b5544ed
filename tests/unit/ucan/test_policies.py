"""Commands, selectors, globs and policies: what they mean, by the letter, and what is refused at once."""

from __future__ import annotations

import pytest

from ipvm_queue.ipld import cid_of
from ipvm_queue.ucan import Command, MalformedError, MatchError, Policy, Selector
from ipvm_queue.ucan.glob import Glob
from ipvm_queue.ucan.meter import Meter
from ipvm_queue.ucan.selector import UNRESOLVED

LINK = cid_of("x")
ARGS = {
    "from": "alice@example.com",
    "to": ["bob@example.com", "carol@not.example.com"],
    "n": 1,
    "yes": True,
    "none": None,
    "data": b"\xd6\xa9\xc1\x8c",
    "link": LINK,
    "map": {"b": 2, "aa": 3, "a": 1},
    "a.b": {"$_*": "odd"},
    "ärger": 7,
    "with-dash": 8,
    "empty": [],
}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("/", "/", True),
        ("/", "/crud/read", True),
        ("/crud", "/crud", True),
        ("/crud", "/crud/read", True),
        ("/crud/read", "/crud", False),
        ("/crud", "/", False),
        ("/crypto", "/cryptocurrency", False),
        ("/", "/ucan", False),
        ("/", "/ucan/proxy/sign", False),
        ("/", "/ucanning", True),
        ("/ucan", "/ucan/proxy/sign", True),
        ("/crud/read", "/crud/reader", False),
    ],
)
def test_commands_prove_themselves_and_what_is_below(one, other, expected):
    """A command covers another segment by segment, not letter by letter; `/` covers nothing of `/ucan`."""
    assert Command.parse(one).proves(Command.parse(other)) is expected


@pytest.mark.parametrize(
    "text", ["", "crud", "/crud/", "//", "/crud//read", "/CRUD", "/Ärger", "crud/read", "/" + "a" * 1024]
)
def test_what_is_no_command_is_malformed(text):
    """Commands begin with a slash, do not end with one, and are in lower case."""
    with pytest.raises(MalformedError):
        Command.parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (".", ARGS),
        (".?", ARGS),
        (".from", "alice@example.com"),
        ('.["from"]', "alice@example.com"),
        (".to[1]", "carol@not.example.com"),
        (".to.[1]", "carol@not.example.com"),
        (".to[-1]", "carol@not.example.com"),
        (".to[2]", UNRESOLVED),
        (".to[-3]", UNRESOLVED),
        (".to[99]?", None),
        (".to[99]???", None),
        (".to[99].x?", UNRESOLVED),
        (".to[0:1]", ["bob@example.com"]),
        (".to[1:]", ["carol@not.example.com"]),
        (".to[:-1]", ["bob@example.com"]),
        (".to[:]", ARGS["to"]),
        (".to[5:9]", []),
        (".to[1:0]", []),
        (".to[]", ARGS["to"]),
        (".map[]", [1, 2, 3]),
        (".map[][0]", 1),
        (".nope", None),
        (".nope?", None),
        (".nope.deeper", UNRESOLVED),
        (".nope.deeper?", None),
        (".none.x", UNRESOLVED),
        (".n.x", UNRESOLVED),
        (".n[0]", UNRESOLVED),
        (".n[]", UNRESOLVED),
        (".from[0]", UNRESOLVED),
        (".from[0:2]", UNRESOLVED),
        (".to.x", UNRESOLVED),
        (".map[0]", UNRESOLVED),
        (".data[3]", 0x8C),
        (".data[-1]", 0x8C),
        (".data[1:3]", b"\xa9\xc1"),
        (".data[9]", UNRESOLVED),
        (".link[0]", UNRESOLVED),
        ('.["a.b"]["$_*"]', "odd"),
        ('.["a.b"].["$_*"]', "odd"),
        (r'.["\u0061.b"]["$_*"]', "odd"),
        (".ärger", 7),
        (".with-dash", 8),
    ],
)
def test_selectors_take_what_is_there(text, expected):
    """A selector gives a value, null where it is optional or a key is missing, or nothing."""
    assert Selector.parse(text).select(ARGS, Meter()) == expected


BAD_SELECTORS = [
    "", "from", "..", "..from", ".from.", ".from..x", ".[", ".]", ".[a]", ".['a']", '.["a]', '.["a"', ".[1", ".[1:2:3]",
    ".[-]", ".[1.5]", ".[ 1]", ". from", ".from ", ".a|b", ".a b", ".*", '.["\\x"]', '.["\n"]', '.["\\ud800"]',
    ".[99999999999999999999]", "?", ".a" * 65, ".?a", ".[1]a", ".[\u0661]",
]  # fmt: skip


@pytest.mark.parametrize("text", BAD_SELECTORS)
def test_what_is_no_selector_is_malformed(text):
    """A selector that is not understood is refused, whole."""
    with pytest.raises(MalformedError):
        Selector.parse(text)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("", "", True),
        ("", "a", False),
        ("*", "", True),
        ("*", "any\nthing", True),
        ("a*", "a", True),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("*a*", "bab", True),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "a-c-b", False),
        ("ab*ba", "aba", False),
        ("**", "x", True),
        (r"\*", "*", True),
        (r"\*", "x", False),
        (r"a\b", r"a\b", True),
        (r"\\*", r"\*", True),
        (r"\\*", r"\x", False),
        ("a\\", "a\\", True),
        ("[a-z]?.", "[a-z]?.", True),
        ("[a-z]?.", "bcd", False),
        ("a.c", "abc", False),
    ],
)
def test_globs_match_whole_texts(pattern, text, expected):
    r"""Only `*` stands for others, `\*` for itself; a backslash before anything else is a backslash."""
    assert Glob.parse(pattern).matches(text) is expected


def test_globs_that_stall_regular_expressions_do_not_stall():
    """Stars by the thousand over a text that nearly matches are decided at once (the test's timeout says how soon)."""
    for pattern, text in (
        ("a*" * 30_000 + "b", "a" * 60_000),
        ("*" + "a" * 30_000 + "b*", "a" * 60_000),
        ("*a" * 30 + "!", "a" * 17),
    ):
        assert not Glob.parse(pattern).matches(text)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (["==", ".n", 1], True),
        (["==", ".n", 1.0], True),
        (["==", ".n", True], False),
        (["==", ".yes", 1], False),
        (["==", ".yes", True], True),
        (["!=", ".yes", 1], True),
        (["==", ".", ARGS], True),
        (["==", ".map", {"a": 1.0, "aa": 3, "b": 2}], True),
        (["==", ".map", {"a": True, "aa": 3, "b": 2}], False),
        (["==", ".map", {"a": 1, "aa": 3}], False),
        (["==", ".to", ["bob@example.com"]], False),
        (["==", ".link", LINK], True),
        (["==", ".link", str(LINK)], False),
        (["==", ".link", LINK.bytes], False),
        (["==", ".link", {"/": str(LINK)}], False),
        (["==", ".data", "1qnBjA=="], False),
        (["==", ".data", b"\xd6\xa9\xc1\x8c"], True),
        (["==", ".data", [0xD6, 0xA9, 0xC1, 0x8C]], False),
        (["==", ".nope", None], True),
        (["!=", ".nope", "x"], True),
        (["==", ".none", None], True),
        (["==", ".to[9]", None], False),
        (["!=", ".to[9]", "x"], False),
        (["not", ["==", ".to[9]", "x"]], True),
        (["==", ".to[9]?", None], True),
        (["<", ".n", 2], True),
        (["<", ".n", 1], False),
        (["<=", ".n", 1.0], True),
        ([">", ".n", 0.5], True),
        ([">=", ".n", 2], False),
        (["<", ".yes", 2], False),
        (["<", ".from", 2], False),
        (["<", ".nope", 2], False),
        (["like", ".from", "*@example.com"], True),
        (["like", ".to", "*"], False),
        (["like", ".nope", "*"], False),
        (["like", ".data", "*"], False),
        (["and", []], True),
        (["or", []], True),
        (["and", [["==", ".n", 1], ["==", ".n", 2]]], False),
        (["or", [["==", ".n", 2], ["==", ".n", 1]]], True),
        (["or", [["==", ".n", 2], ["==", ".n", 3]]], False),
        (["not", ["not", ["==", ".n", 1]]], True),
        (["all", ".to", ["like", ".", "*@*"]], True),
        (["all", ".to", ["like", ".", "*@example.com"]], False),
        (["any", ".to", ["like", ".", "*@example.com"]], True),
        (["any", ".to", ["==", ".", 1]], False),
        (["all", ".map", [">", ".", 0]], True),
        (["any", ".map", ["==", ".", 3]], True),
        (["all", ".empty", ["==", ".", 1]], True),
        (["any", ".empty", ["==", ".", 1]], True),
        (["all", ".n", ["==", ".", 1]], False),
        (["any", ".from", ["like", ".", "*"]], False),
        (["any", ".data", [">", ".", 0]], False),
        (["all", ".nope", ["==", ".", 1]], False),
        (["any", ".to[7]", ["==", ".", 1]], False),
    ],
    ids=str,
)
def test_statements_mean_what_the_specification_says(statement, expected):
    """Each operator, with its cases at the edge."""
    assert Policy.parse([statement]).judge(ARGS) is expected


def test_quantifiers_within_quantifiers_are_about_each_value():
    """Every newsletter has to have its recipient, not just one of them."""
    policy = Policy.parse([["all", ".news", ["any", ".to", ["==", ".", "x"]]]])

    assert policy.judge({"news": [{"to": ["x"]}, {"to": ["y", "x"]}]}) is True
    assert policy.judge({"news": [{"to": ["x"]}, {"to": ["y"]}]}) is False


BAD_POLICIES = {
    "a map": {},
    "null": None,
    "text": "==",
    "one statement, not in a list": ["==", ".a", 1],
    "empty statement": [[]],
    "a number for an operator": [[1, ".a", 1]],
    "an unknown operator": [["~", ".a", 1]],
    "an operator in capitals": [["LIKE", ".a", "b"]],
    "no argument": [["==", ".a"]],
    "one too many": [["==", ".a", 1, 2]],
    "a selector that is no text": [["==", 1, 1]],
    "a wrong selector": [["==", "a", 1]],
    "less than text": [["<", ".a", "b"]],
    "less than true": [["<", ".a", True]],
    "less than null": [[">=", ".a", None]],
    "like a number": [["like", ".a", 1]],
    "like bytes": [["like", ".a", b"*"]],
    "and of one statement": [["and", ["==", ".a", 1]]],
    "and of two arguments": [["and", [], []]],
    "not of a list": [["not", [["==", ".a", 1]]]],
    "not of nothing": [["not"]],
    "wrong under or": [["or", [["==", ".a", 1], ["~", ".a", 1]]]],
    "wrong under not": [["not", ["==", ".a"]]],
    "wrong under any": [["any", ".a", ["==", "..", 1]]],
    "all of a list": [["all", ".a", [["==", ".", 1]]]],
    "too many": [["==", ".a", 1]] * 1001,
    "too many within": [["and", [["==", ".a", 1]] * 1000]],
}


@pytest.mark.parametrize("source", BAD_POLICIES.values(), ids=BAD_POLICIES)
def test_a_wrong_statement_makes_the_policy_malformed(source):
    """A policy with a fault anywhere is none, also where the fault would never be looked at."""
    with pytest.raises(MalformedError):
        Policy.parse(source)


def test_policies_nested_beyond_all_measure_are_malformed():
    """Depth is refused before Python's own limit is met."""
    deep = ["==", ".a", 1]
    for _ in range(100_000):
        deep = ["not", deep]
    with pytest.raises(MalformedError, match="deep"):
        Policy.parse([deep])


def test_policies_that_cost_too_much_hold_for_nothing():
    """What takes more than its steps to judge is refused, under `not` too."""
    costly = ["any", ".x", ["and", [["==", ".[:]" + "[:]" * 60, 1]] * 900]]
    for statement in (costly, ["not", costly]):
        with pytest.raises(MatchError, match="steps"):
            Policy.parse([statement]).judge({"x": [[0] * 1000] * 50})


LONG_TEXT, LONG_LIST = "a" * 1_000_000, [0] * 1000


@pytest.mark.parametrize(
    ("statement", "args"),
    [
        (["or", [["like", ".x", "*" + "a" * 49 + "b" + "a" * 49 + "*"]] * 100], {"x": LONG_TEXT}),
        (["and", [["like", ".x", "*a" * 10_000]] * 900], {"x": "a" * 10_000}),
        (["all", ".x", ["==", ".", LONG_LIST]], {"x": [LONG_LIST] * 2000}),
        (["all", ".x", ["==", ".", {"a": LONG_LIST}]], {"x": [{"a": LONG_LIST}] * 2000}),
    ],
    ids=["long texts", "many pieces", "long lists", "maps of long lists"],
)
def test_what_is_looked_through_is_counted(statement, args):
    """A statement about a long text or list costs more steps than one about a short one."""
    with pytest.raises(MatchError, match="steps"):
        Policy.parse([statement]).judge(args)
    assert Policy.parse([statement]).judge({"x": args["x"][:1]}) is not None


def test_a_statement_about_any_value_of_a_map_ends_with_the_first():
    """Values are looked at one by one: what a long map holds beside costs nothing."""
    policy = Policy.parse([["any", ".x", ["==", ".", 0]]])

    assert policy.judge({"x": {str(n): n for n in range(100_000)}}, Meter(10)) is True
    assert policy.judge({"x": {}}) is True


def test_args_that_are_too_deep_hold_for_nothing():
    """Depth of args that were never encoded is bounded too."""
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(MatchError, match="deep"):
        Policy.parse([["==", ".a", 1]]).judge({"a": deep})


OK = {"await/ok": LINK}
PENDING_ARGS = {"path": OK, "n": 1, "list": [1, OK], "nested": {"x": {"y": OK}}, "picked": {"from": OK, "out": 0}}


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (["==", ".path", "/etc"], None),
        (["!=", ".path", "/etc"], None),
        (["not", ["==", ".path", "/etc"]], None),
        (["like", ".path", "*"], None),
        (["<", ".path", 1], None),
        (["==", ".path.deeper?", None], None),
        (["==", '.path["await/ok"]', LINK], None),
        (["==", ".picked", 1], None),
        (["==", ".picked.out", 0], None),
        (["==", ".nested", {}], None),
        (["==", ".nested.other", None], True),
        (["==", ".n", 1], True),
        (["==", ".n", 2], False),
        (["or", [["==", ".n", 1], ["==", ".path", 1]]], True),
        (["or", [["==", ".n", 2], ["==", ".path", 1]]], None),
        (["and", [["==", ".path", 1], ["==", ".n", 2]]], False),
        (["and", [["==", ".path", 1], ["==", ".n", 1]]], None),
        (["all", ".list", ["==", ".", 1]], None),
        (["all", ".list", ["==", ".", 2]], False),
        (["any", ".list", ["==", ".", 1]], True),
        (["any", ".list", ["==", ".", 2]], None),
        (["all", ".path", ["==", ".", 2]], None),
        (["all", ".list[0:1]", ["==", ".", 1]], True),
        (["==", ".list", [1, 2]], None),
    ],
    ids=str,
)
def test_what_hangs_on_a_promise_is_left_open(statement, expected):
    """Before promises are kept only what they cannot change is decided."""
    assert Policy.parse([statement]).judge(PENDING_ARGS, Meter(promises=True)) is expected


def test_what_only_looks_like_a_promise_is_data_once_args_are_resolved():
    """Values that were put in are compared as they are."""
    policy = Policy.parse([["==", ".path", {"await/ok": LINK}]])

    assert policy.judge({"path": OK}) is True
    assert policy.judge({"path": OK}, Meter(promises=True)) is None
    assert Policy.parse([["==", ".p", {"await/ok": 1}]]).judge({"p": {"await/ok": 1}}, Meter(promises=True)) is True
