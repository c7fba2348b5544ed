"""`ipvm seal` and `ipvm open`: a file, closed to all but its readers."""

from __future__ import annotations

from base64 import b64decode
from subprocess import run as start

import pytest
from commands import BIN

from ipvm_queue.crypto import load_signer, open_sealed


def test_a_file_is_sealed_and_opened(call, write):
    """Each of its readers opens it; the file that comes out is its owner's alone."""
    letter = write("letter.txt", "for your eyes only")
    mine = call("ipvm", "key", "new").out.strip()
    other = call("ipvm", "key", "new", "other.pem", "--suite", "P-256").out.strip()
    box = letter.with_name("letter.box")
    sealed = call("ipvm", "seal", letter, "--to", mine, "--to", other, "-o", box)

    assert (sealed.code, sealed.out) == (0, "")
    assert b"eyes" not in box.read_bytes()
    assert box.stat().st_mode & 0o077 == 0
    assert call("ipvm", "open", box).out == "for your eyes only"
    assert call("ipvm", "open", box, "--key", "other.pem").out == "for your eyes only"


def test_a_box_may_be_the_input_of_a_job(call, write):
    """`--json` gives it as a job wants it."""
    did = call("ipvm", "key", "new", "worker.pem").out.strip()
    given = call("ipvm", "seal", write("x", "secret"), "--to", did, "--json").json
    text = given["value"]["/"]["bytes"]

    assert open_sealed(load_signer(write("x", "").with_name("worker.pem")), b64decode(text + "==")) == b"secret"


def test_a_box_goes_into_the_file_that_is_named_for_it(call, write, tmp_path):
    """With --json too: then the answer says which file, and how long it is."""
    did = call("ipvm", "key", "new").out.strip()
    sealed = call("ipvm", "seal", write("x", "secret"), "--to", did, "--json", "-o", "x.box")

    assert sealed.json == {"file": "x.box", "size": (tmp_path / "work" / "x.box").stat().st_size}
    assert call("ipvm", "open", "x.box").out == "secret"


@pytest.mark.parametrize("name", ["seal", "open"])
def test_what_cannot_be_read_is_told(call, name):
    """A file that is not there is an error in words."""
    call("ipvm", "key", "new")
    failed = call("ipvm", name, "nowhere", *(["--to", "did:key:z6Mk"] if name == "seal" else []))

    assert failed.code == 2
    assert "cannot read nowhere: No such file" in failed.err


def test_others_cannot_open_it(call, write):
    """The error names its readers, and exits with 2."""
    theirs = call("ipvm", "key", "new", "theirs.pem").out.strip()
    call("ipvm", "key", "new")
    box = write("x", "").with_name("x.box")
    call("ipvm", "seal", write("x", "secret"), "--to", theirs, "-o", box)
    failed = call("ipvm", "open", box)

    assert failed.code == 2
    assert "not sealed to" in failed.err


def test_nothing_is_sealed_to_a_key_that_can_only_sign(call, write):
    """secp256k1 keys are made for signing."""
    did = call("ipvm", "key", "new", "k.pem", "--suite", "secp256k1").out.strip()
    failed = call("ipvm", "seal", write("x", "secret"), "--to", did)

    assert did.startswith("did:key:zQ3s")
    assert failed.code == 2
    assert "HPKE has no secp256k1" in failed.err


def test_it_works_in_a_pipe(call):
    """From standard input to standard output, byte for byte."""
    did = call("ipvm", "key", "new").out.strip()
    data = bytes(range(256))
    sealed = start([BIN / "ipvm", "seal", "-", "--to", did], input=data, capture_output=True, check=True)
    opened = start([BIN / "ipvm", "open", "-"], input=sealed.stdout, capture_output=True, check=True)

    assert opened.stdout == data
