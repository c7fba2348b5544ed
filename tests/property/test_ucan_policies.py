"""The policy language against a second evaluator, written plainly and in another way, on policies nobody thought of."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ipvm_queue.ipld import cid_of
from ipvm_queue.ucan import MalformedError, Policy, Selector, resolve
from ipvm_queue.ucan.glob import Glob
from ipvm_queue.ucan.meter import Meter

NAMES = ["a", "b", "to", "x y", "ä", '"', "\\", ""]
LINK = cid_of("task")
PROMISES = [{"await/ok": LINK}, {"await/*": LINK}, {"from": {"await/ok": LINK}, "out": 0}]

names = st.sampled_from(NAMES)
globs = st.text(st.sampled_from("ab*\\\n."), max_size=8)
texts = st.text(st.sampled_from("ab*\\\n."), max_size=8)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-2, 3)
    | st.sampled_from([0.0, -0.0, 1.0, 1.5, 2.0**60])
    | texts
    | st.binary(max_size=4)
    | st.just(LINK)
)


def maps(inner):
    """Return a strategy for small maps."""
    return st.dictionaries(names, inner, max_size=4)


values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | maps(inner), max_leaves=12)


bounds = st.none() | st.integers(-3, 4)
steps = st.tuples(
    names | st.integers(-3, 3) | st.builds(slice, bounds, bounds) | st.just(...),
    st.booleans(),
)
paths = st.lists(steps, max_size=3)


def text_of(path) -> str:
    """Return a path as a selector."""
    if not path:
        return "."
    parts = []
    for step, optional in path:
        if step is ...:
            part = "[]"
        elif isinstance(step, slice):
            part = f"[{'' if step.start is None else step.start}:{'' if step.stop is None else step.stop}]"
        elif isinstance(step, int):
            part = f"[{step}]"
        elif re.fullmatch(r"\w+", step):
            part = f".{step}"
        else:
            part = f"[{json.dumps(step)}]"
        parts.append(part + "?" * optional)
    text = "".join(parts)
    return text if text.startswith(".") else f".{text}"


def take(path, value):
    """Return (True, what is there) or (False, None)."""
    for step, optional in path:
        try:
            if isinstance(step, str):
                assert isinstance(value, dict)
                value = value.get(step)
            elif step is ... and isinstance(value, dict):
                value = [value[key] for key in sorted(value, key=lambda key: (len(key.encode()), key.encode()))]
            else:
                assert isinstance(value, list | bytes)
                value = value if step is ... else value[step]
        except (AssertionError, IndexError):
            if not optional:
                return False, None
            value = None
    return True, value


def same(one, other) -> bool:
    """Whether two values are equal: compare them with the kind of each part written out."""
    return spelled(one) == spelled(other)


def spelled(value) -> Any:
    """Return a value with its kinds, numbers as one kind."""
    if isinstance(value, bool) or value is None:
        return ("constant", str(value))
    if isinstance(value, int | float):
        return ("number", value)
    if isinstance(value, list):
        return ("list", [spelled(item) for item in value])
    if isinstance(value, dict):
        return ("map", {key: spelled(item) for key, item in value.items()})
    return (type(value).__name__, value)


def matches(pattern: str, text: str) -> bool:
    r"""Match by trying every way, one character at a time."""
    if not pattern:
        return not text
    if pattern.startswith("\\*"):
        return text.startswith("*") and matches(pattern[2:], text[1:])
    if pattern[0] == "*":
        return any(matches(pattern[1:], text[cut:]) for cut in range(len(text) + 1))
    return text[:1] == pattern[0] and matches(pattern[1:], text[1:])


def is_number(value) -> bool:
    """Whether a value is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


COMPARISONS = {
    "==": same,
    "!=": lambda found, operand: not same(found, operand),
    "like": lambda found, pattern: isinstance(found, str) and matches(pattern, found),
    "<": lambda found, operand: is_number(found) and found < operand,
    "<=": lambda found, operand: is_number(found) and found <= operand,
    ">": lambda found, operand: is_number(found) and found > operand,
    ">=": lambda found, operand: is_number(found) and found >= operand,
}


def naive(statement, args) -> bool:
    """Evaluate a statement whose selectors are paths."""
    operator, *rest = statement
    if operator == "not":
        return not naive(rest[0], args)
    if operator in ("and", "or"):
        verdicts = [naive(inner, args) for inner in rest[0]]
        return all(verdicts) if operator == "and" else any(verdicts) or not verdicts
    there, found = take(rest[0], args)
    if operator in COMPARISONS:
        return there and COMPARISONS[operator](found, rest[1])
    items = list(found.values()) if isinstance(found, dict) else found
    return isinstance(items, list) and naive_quantifier(operator, rest[1], items)


def naive_quantifier(operator, statement, items) -> bool:
    """Evaluate a statement about each of some values."""
    verdicts = [naive(statement, item) for item in items]
    return all(verdicts) if operator == "all" else any(verdicts) or not verdicts


statements = st.recursive(
    st.tuples(st.sampled_from(["==", "!="]), paths, values)
    | st.tuples(st.sampled_from(["<", "<=", ">", ">="]), paths, st.integers(-2, 3) | st.sampled_from([0.5, 1.0]))
    | st.tuples(st.just("like"), paths, globs),
    lambda inner: (
        st.tuples(st.just("not"), inner)
        | st.tuples(st.sampled_from(["and", "or"]), st.lists(inner, max_size=3))
        | st.tuples(st.sampled_from(["all", "any"]), paths, inner)
    ),
    max_leaves=6,
)


def written(statement) -> list[Any]:
    """Return a statement in IPLD form."""
    operator, *rest = statement
    if operator == "not":
        return [operator, written(rest[0])]
    if operator in ("and", "or"):
        return [operator, [written(inner) for inner in rest[0]]]
    if operator in ("all", "any"):
        return [operator, text_of(rest[0]), written(rest[1])]
    return [operator, text_of(rest[0]), rest[1]]


@given(st.lists(statements, max_size=3), maps(values))
def test_policies_mean_the_same_to_both_evaluators(policy, args):
    """Whatever the policy and the args, the verdicts agree."""
    expected = all(naive(statement, args) for statement in policy)

    assert Policy.parse([written(statement) for statement in policy]).judge(args) is expected


@given(paths, values)
def test_selectors_take_the_same(path, value):
    """A path written as a selector takes what stepping by hand takes."""
    there, expected = take(path, value)
    found = Selector.parse(text_of(path)).select(value, Meter())

    assert same(found, expected) if there else repr(found) == "UNRESOLVED"


@given(globs, texts)
def test_globs_match_what_trying_every_way_matches(pattern, text):
    """The linear matcher and the exhaustive one agree."""
    assert Glob.parse(pattern).matches(text) is matches(pattern, text)


@given(st.text(st.sampled_from('.[]"\\:?-019aä $\n'), max_size=20))
def test_no_text_breaks_the_selector_parser(text):
    """Any text is a selector that prints as itself, or is malformed."""
    try:
        selector = Selector.parse(text)
    except MalformedError:
        return

    assert str(selector) == text
    assert text.startswith(".")


@given(st.recursive(scalars | st.sampled_from(["==", "and", "not", "any", "like", ".a"]), st.lists, max_leaves=12))
def test_nothing_but_a_policy_is_a_policy(source):
    """Any IPLD value is a policy, which then can be judged, or is malformed."""
    try:
        policy = Policy.parse(source)
    except MalformedError:
        return

    assert policy.judge({"a": 1}) in (True, False)


@given(
    st.lists(statements, max_size=2),
    st.dictionaries(names, st.recursive(scalars | st.sampled_from(PROMISES), maps, max_leaves=6), max_size=4),
    st.lists(values, min_size=1, max_size=2),
)
def test_what_is_decided_before_promises_are_kept_stays_so(policy, args, kept):
    """A verdict at the gate is the verdict on the resolved args; what it leaves open may go either way."""
    parsed = Policy.parse([written(statement) for statement in policy])
    verdict = parsed.judge(args, Meter(promises=True))
    resolved = resolve(args, lambda _: (LINK, {"ok": kept}))

    assert verdict is None or parsed.judge(resolved) is verdict
