"""The UCAN container specification's vectors: ten delegations in each encoding, other ones in each."""

from __future__ import annotations

import pytest
from vectors import vector

from ipvm_queue.ipld import decode
from ipvm_queue.ucan import Container, Encoding, UnsupportedAlgorithmError, Validator

NAMES = {
    "Bytes": Encoding.BYTES,
    "BytesGzipped": Encoding.BYTES_GZIP,
    "Base64StdPadding": Encoding.BASE64,
    "Base64StdPaddingGzipped": Encoding.BASE64_GZIP,
    "Base64URL": Encoding.BASE64URL,
    "Base64URLGzipped": Encoding.BASE64URL_GZIP,
}
FILES = {name: vector(f"container/{name}").read_bytes() for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_every_encoding_is_read(name):
    """Each file begins with the header of its encoding and holds ten delegations, in an order of their own."""
    tokens = list(Container.read(FILES[name]).tokens.values())

    assert FILES[name][:1] == NAMES[name].value
    assert len(tokens) == 10
    assert tokens != sorted(tokens)
    assert all(decode(token)[1].keys() == {"h", "ucan/dlg@1.0.0-rc.1"} for token in tokens)


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_is_sorted_and_reads_back(name, encoding):
    """Our form of a published container, in any encoding, has the same tokens in order of their bytes."""
    container = Container.read(FILES[name])
    written = container.write(encoding)

    assert written[:1] == encoding.value
    assert list(Container.read(written).tokens.values()) == sorted(container.tokens.values())


def test_the_tokens_in_them_are_of_a_varsig_that_is_refused():
    """Their varsig has no version; they can be listed, and are not taken as delegations."""
    for token in Container.read(FILES["Bytes"]).tokens.values():
        assert decode(token)[1]["h"].hex() == "34ed0171"
        with pytest.raises(UnsupportedAlgorithmError):
            Validator().delegation(token, now=0)
