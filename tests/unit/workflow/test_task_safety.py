"""The safety class of a task."""

import pytest
from documents import effect, read_json, wasm

from ipvm_queue.workflow.safety import Safety, safety_of


@pytest.mark.parametrize(
    ("job", "safety"),
    [
        (wasm(), Safety.PURE),
        (effect("crud/read"), Safety.QUERY),
        (effect("crud/update"), Safety.COMMAND),
        (effect("msg/send", "mailto:a@example.com"), Safety.COMMAND),
        (effect("crypto/sign", "did:key:z6Mk"), Safety.QUERY),
        (effect("secret/get", "ipvm:secret:x"), Safety.QUERY),
        (effect("secret/get", "dns://x"), Safety.COMMAND),
        (effect("executable/run", "docker:1:x"), Safety.COMMAND),
        (effect("http/get", "HTTPS://example.com"), Safety.QUERY),
        (effect("http/post", "https://example.com"), Safety.COMMAND),
        (effect("crud/read", {"from": "b"}), Safety.QUERY),
        (effect("http/get", {"from": "b"}), Safety.COMMAND),
    ],
)
def test_the_pair_of_scheme_and_ability_decides(job, safety):
    """Wasm is pure, what is known to only ask is a query, all else is a command."""
    assert safety_of(read_json({"a": job, "b": wasm()}).tasks["a"]) is safety
