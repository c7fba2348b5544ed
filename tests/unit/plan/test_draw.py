"""Pictures of a plan."""

from __future__ import annotations

from plans import DIAMOND, job, plan_of

from ipvm_queue.plan.draw import as_dot, as_mermaid, as_table, as_text


def test_the_table_says_order_inputs_and_place():
    """A row a node: its number, what it needs, and where it stands in the canvas."""
    rows = as_table(plan_of(DIAMOND))

    assert [(row.number, row.label, row.after, row.shape) for row in rows] == [
        (0, "top", [], ""),
        (1, "left", ["top"], ""),
        (2, "right", ["top"], ""),
        (3, "end", ["left", "right"], "chord"),
        (4, "tail", ["end"], "chain"),
    ]


def test_the_text_shows_each_node_once():
    """Each node stands under one predecessor, and names the others."""
    text = as_text(plan_of(DIAMOND), {"top": "ok"})

    assert text.splitlines() == [
        "top  [ok]",
        "└─ left  [waiting]",
        "└─ right  [waiting]",
        "   └─ end  [waiting]  (and after left)",
        "      └─ tail  [waiting]",
    ]


def test_dot_and_mermaid_have_every_edge_and_escape_labels():
    """Labels are anything: quotes and angle brackets do not leave their place."""
    plan = plan_of({'a"<b>\\': job(1, on={"error": ["c"]}), "c": job(2), "d": job({"from": "c"})})
    dot, mermaid = as_dot(plan), as_mermaid(plan)

    assert '[label="a\\"<b>\\\\"]' in dot
    assert "n0 -> n1 [style=dashed, label=error];" in dot
    assert "n1 -> n2;" in dot
    assert 'n0["a&quot;&lt;b>\\"]' in mermaid
    assert "n0 -. error .-> n1" in mermaid
    assert "n1 --> n2" in mermaid


def test_states_colour_the_picture():
    """With states, nodes have the colour of theirs."""
    plan = plan_of({"a": job(1)})

    assert "palegreen" in as_dot(plan, {"a": "ok"})
    assert "lightcoral" in as_mermaid(plan, {"a": "error"})
    assert "palegreen" not in as_dot(plan)
