"""Tokens, containers and JWTs as words: what they say, and the first rule that each breaks."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.cli.answer import MAX_SHOWN, brief
from ipvm_queue.errors import CodecError, UsageError
from ipvm_queue.ipld import DAG_CBOR, Link, decode
from ipvm_queue.ucan import Container, Encoding, Invocation, MalformedError, UcanError, Validator

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Described = dict[str, Any]

_JWT: Final = re.compile(rb"[\w-]+\.[\w-]+\.[\w-]*")
_TOKEN: Final = b"\x82"  # a list of two, in CBOR
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")
_MAX_NESTING: Final = 8
_TIMES: Final = ("exp", "nbf", "iat")
_ORDER: Final = " iss aud sub cmd args pol cause exp nbf iat nonce meta "  # the rest comes after these
_KINDS: Final = {"inv": "invocation", "dlg": "delegation"}


def describe(data: bytes, now: int) -> Described:
    """Return what is in `data` as a value for DAG-JSON; raises `UsageError` for what is none of the three."""
    text = data.strip()
    if _JWT.fullmatch(text):
        return _jwt(text.decode(), 0)
    if data[:1] == _TOKEN:
        return _tokens({Link.of(data, DAG_CBOR): data}, now)[0]
    token = from_base64(text.decode(errors="replace"))
    if token is not None and token[:1] == _TOKEN:
        return _tokens({Link.of(token, DAG_CBOR): token}, now)[0]
    packed = text if data[:1] in (b"B", b"C", b"O", b"P") else data
    try:
        container = Container.read(packed)
    except MalformedError as error:
        hint = "a token in bytes or base64, a container, or a JWT is expected"
        raise UsageError(f"this is no token: {error.message}", hint=hint) from error
    written = {encoding.value: encoding.name.lower().replace("_", " ") for encoding in Encoding}
    packing = written.get(packed[:1], "gzip, in an older form")
    return {"kind": "container", "encoding": packing, "tokens": _tokens(container.tokens, now)}


def from_base64(text: str) -> bytes | None:
    """Return the bytes of base64 in either alphabet, padded or not; None for other text."""
    if not _BASE64.fullmatch(text):
        return None
    plain = text.rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        return b64decode(plain + "=" * (-len(plain) % 4))
    except ValueError:
        return None


def lines(found: Described) -> Iterator[str]:
    """Yield a described value for people, proofs as branches of a tree."""
    if found["kind"] != "container":
        yield from _tree(found, "", "")
        return
    count = len(found["tokens"])
    yield f"container ({found['encoding']}) of {count} {'tree' if count == 1 else 'trees'}"
    for token in found["tokens"]:
        yield ""
        yield from _tree(token, "", "")


def _tokens(tokens: Mapping[Link, bytes], now: int) -> list[Described]:
    """Return every token that is nobody's proof, each with its proofs below it."""
    validator = Validator()
    views = {link: _view(link, data) for link, data in tokens.items()}
    used = {proof for view in views.values() for proof in _proofs(view)}
    roots = [link for link in tokens if link not in used]
    return [_judged(views, link, tokens, validator, now) for link in roots]


def _judged(
    views: Mapping[Link, Described], root: Link, tokens: Mapping[Link, bytes], validator: Validator, now: int
) -> Described:
    view = views[root]
    proofs = [dict(views.get(link, {"kind": "missing", "cid": link})) for link in _proofs(view)]
    judged = {**view, "valid": True}
    try:
        if view["kind"] == "delegation":
            validator.delegation(tokens[root], now=now)
        else:
            validator.invocation(tokens[root], tokens, now=now)
    except UcanError as error:
        judged |= {"valid": False, "error": {"name": error.name, "message": error.message}}
        at = next((proof for proof in proofs if proof["cid"] == error.token), judged)
        if error.name == "UnavailableProof":
            at = next((proof for proof in proofs if proof["kind"] == "missing"), judged)
        at["broken"] = error.name
    if view["kind"] == "invocation":
        judged["proofs"] = proofs
        if judged["valid"]:
            judged["task"] = Invocation.parse(tokens[root]).task
    return judged


def _proofs(view: Described) -> list[Link]:
    links = view.get("payload", {}).get("prf", [])
    return [link for link in links if isinstance(link, Link)] if isinstance(links, list) else []


def _view(link: Link, data: bytes) -> Described:
    """Return what a token says, also where it breaks a rule."""
    found: Described = {"kind": "unreadable", "cid": link, "bytes": len(data)}
    try:
        envelope = decode(data)
    except CodecError:
        return found
    match envelope:
        case [bytes() as signature, {"h": bytes() as header, **rest}] if len(rest) == 1:
            ((tag, payload),) = rest.items()
            if not isinstance(payload, dict):
                return found
            kind = _KINDS.get(str(tag).removeprefix("ucan/").partition("@")[0], "token")
            return found | {"kind": kind, "tag": tag, "varsig": header, "signature": signature, "payload": payload}
    return found


def _jwt(text: str, depth: int) -> Described:
    """Return what a JWT says; those in its `prf` are its proofs."""
    head, body, _ = text.split(".")
    try:
        header, payload = (json.loads(from_base64(part) or b"") for part in (head, body))
    except (ValueError, RecursionError) as error:
        raise UsageError("this looks like a JWT, but does not hold JSON") from error
    if not isinstance(header, dict) or not isinstance(payload, dict):
        raise UsageError("this looks like a JWT, but does not hold maps")
    listed = payload.get("prf")
    nested = [proof for proof in listed if isinstance(proof, str)] if isinstance(listed, list) else []
    proofs: list[Described] = []
    for proof in nested:
        if depth < _MAX_NESTING and _JWT.fullmatch(proof.encode()):
            proofs.append(_jwt(proof, depth + 1))
        else:
            proofs.append({"kind": "missing", "cid": proof})
    return {"kind": "jwt", "header": header, "payload": payload, "proofs": proofs, "verified": False}


def _tree(found: Described, first: str, rest: str) -> Iterator[str]:
    mark = f"   ✗ {found['broken']}" if "broken" in found else ""
    yield f"{first}{found['kind']} {_title(found)}{mark}"
    proofs = found.get("proofs", [])
    inner = rest + ("│  " if proofs else "   ")
    for name, value in _facts(found):
        yield f"{inner}{name:9} {value}"
    for place, proof in enumerate(proofs):
        last = place == len(proofs) - 1
        yield from _tree(proof, f"{rest}{'└─' if last else '├─'} ", f"{rest}{'   ' if last else '│  '}")
    if "error" in found:
        yield f"{rest}✗ {found['error']['name']}: {found['error']['message']}"
    elif found.get("valid"):
        yield f"{rest}✓ valid"
    elif found["kind"] == "jwt" and not rest:
        yield "not verified: a JWT is of UCAN 0.10 or older"


def _title(found: Described) -> str:
    if found["kind"] == "jwt":
        return f"(UCAN {brief(found['header'].get('ucv') or found['payload'].get('ucv'))})"
    return str(found["cid"])


def _facts(found: Described) -> Iterator[tuple[str, str]]:
    if found["kind"] == "unreadable":
        yield "bytes", str(found["bytes"])
    if found.get("tag"):
        yield "tag", brief(found["tag"])
    payload = found.get("payload", {})
    for name in sorted(payload, key=lambda name: _ORDER.find(f" {name} ") % len(_ORDER)):
        value = payload[name]
        if name in _TIMES and type(value) is int:
            yield name, f"{value} ({_when(value)})"
        elif name != "prf":
            yield _word(name)[:40], _word(value) if type(value) is str else brief(value)
    if "task" in found:
        yield "task", str(found["task"])


def _word(text: str) -> str:
    """Return text as it is where that is one line of it, else as JSON has it."""
    return text if text.isprintable() and len(text) <= MAX_SHOWN else brief(text)


def _when(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return "beyond any calendar"
