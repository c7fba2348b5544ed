"""A message from a call: its headers, its text, and its attachments, which are blocks named by their CIDs.

The Message-ID is the Task's CID at the sender's domain: the same at every attempt, so that a mailbox which has the
message tells it from another.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from ipvm_queue.effects.contract import EffectError
from ipvm_queue.effects.mail_address import matches, read_address, sender_of
from ipvm_queue.errors import BlockError
from ipvm_queue.ipld import Link

if TYPE_CHECKING:
    from email.headerregistry import Address

    from ipvm_queue.effects.contract import Call, EffectBlocks
    from ipvm_queue.effects.mail_settings import MailSettings
    from ipvm_queue.ipld import Value

TEXTS: Final = ("value", "body", "message")
MAX_SUBJECT: Final = 998  # RFC 5322 2.1.1
MAX_ATTACHMENTS: Final = 100
_POLICY: Final = SMTP.clone(max_line_length=320)  # a Message-ID that is folded is not read everywhere
_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
_ID: Final = re.compile(r"<[^<>\s@]+@[^<>\s@]+>")


class Message(NamedTuple):
    """What goes to the server: from whom, to whom (copies included), and the very bytes."""

    sender: str
    receivers: tuple[str, ...]
    id: str
    data: bytes


def message_of(call: Call, blocks: EffectBlocks, settings: MailSettings) -> Message:
    """Build the message; raises `mail/bad-…`, `mail/no-value`, `mail/not-allowed`, `mail/too-large`, `mail/block`."""
    args, sender = call.args, sender_of(call.uri)
    _allow(sender, settings.senders, f"this worker does not send as {sender}")
    lists = {field: _addresses(args.get(field, []), field) for field in ("to", "cc", "bcc")}
    receivers = tuple(dict.fromkeys(address.addr_spec for field in lists.values() for address in field))
    if not receivers:
        _refuse("no-value", "there is nobody in 'to': the URI is the mailbox that sends")
    if len(receivers) > settings.max_receivers:
        _refuse("bad-address", f"there are {len(receivers)} receivers; at most {settings.max_receivers} are sent to")
    for receiver in receivers:
        _allow(receiver, settings.receivers, f"this worker does not send to {receiver}")
    message = EmailMessage(policy=_POLICY)
    message["From"] = _from(args.get("from"), sender)
    for field in ("to", "cc"):
        if lists[field]:
            message[field.title()] = lists[field]
    if "reply_to" in args:
        message["Reply-To"] = _addresses(args["reply_to"], "reply_to")
    if "in_reply_to" in args:
        message["In-Reply-To"] = _id(args["in_reply_to"])
    message["Subject"] = _subject(args.get("subject", ""))
    message["Date"] = datetime.now(UTC)
    message["Message-ID"] = identity = f"<{call.task}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    _write(message, args)
    _attach(message, args.get("attachments", []), blocks, settings.max_bytes)
    data = message.as_bytes()
    if len(data) > settings.max_bytes:
        raise EffectError("mail/too-large", _too_large(len(data), settings.max_bytes), "requestor", sent=False)
    return Message(sender, receivers, identity, data)


def _from(given: Value, sender: str) -> Address:
    address = read_address(sender if given is None else given, "from")
    if address.addr_spec.lower() != sender.lower():
        _refuse("bad-address", f"'from' is {address.addr_spec}, and the URI lets {sender} send")
    return address


def _addresses(given: Value, field: str) -> list[Address]:
    entries = [given] if isinstance(given, str) else given
    if not isinstance(entries, list):
        _refuse("bad-address", f"{field!r} is an address or a list of them")
    return [read_address(entry, field) for entry in entries]


def _subject(text: Value) -> str:
    if not isinstance(text, str) or not text.isprintable() or len(text) > MAX_SUBJECT:
        _refuse("bad-header", f"'subject' is one line of at most {MAX_SUBJECT} characters")
    return text


def _id(text: Value) -> str:
    if not isinstance(text, str) or not _ID.fullmatch(text) or not text.isascii() or len(text) > MAX_SUBJECT:
        _refuse("bad-header", "'in_reply_to' is a Message-ID: <…@…>")
    return text


def _write(message: EmailMessage, args: dict[str, Value]) -> None:
    given = [args[name] for name in TEXTS if name in args]
    if not given:
        _refuse("no-value", "the message has no 'value': its text, or {text, html}")
    if len(given) > 1:
        _refuse("bad-value", f"the text of a message is said once, as one of {', '.join(TEXTS)}")
    text = given[0]
    parts = {"text": text} if isinstance(text, str) else text
    if (
        not isinstance(parts, dict)
        or not parts
        or not parts.keys() <= {"text", "html"}
        or not all(isinstance(part, str) for part in parts.values())
    ):
        _refuse("bad-value", "the text of a message is a text, or {text, html}")
    if "text" in parts:
        message.set_content(parts["text"])
    if "html" in parts:
        (message.add_alternative if "text" in parts else message.set_content)(parts["html"], subtype="html")


def _attach(message: EmailMessage, given: Value, blocks: EffectBlocks, most: int) -> None:
    if not isinstance(given, list) or len(given) > MAX_ATTACHMENTS:
        _refuse("bad-value", f"'attachments' is a list of at most {MAX_ATTACHMENTS} {{cid, name, type}}")
    size = 0
    for index, entry in enumerate(given):
        where = f"attachments[{index}]"
        cid, name, kind = _attachment(entry, where)
        try:
            data = blocks.get(cid)
        except BlockError as error:
            raise EffectError("mail/block", f"{where}: {error.message}", "requestor", sent=False) from None
        size += len(data)
        if size > most:
            raise EffectError("mail/too-large", _too_large(size, most), "requestor", sent=False)
        main, _, sub = kind.partition("/")
        message.add_attachment(data, main, sub, filename=name, headers=[f"Content-Location: ipfs://{cid}"])


def _attachment(entry: Value, where: str) -> tuple[Link, str, str]:
    if isinstance(entry, Link):
        entry = {"cid": entry}
    if not isinstance(entry, dict) or not isinstance(entry.get("cid"), Link):
        _refuse("bad-value", f"{where} is a link, or {{cid, name, type}} with a link as 'cid'")
    cid, kind = entry["cid"], entry.get("type", "application/octet-stream")
    name = entry.get("name", str(cid))
    if not isinstance(name, str) or not name.isprintable() or "/" in name or not 0 < len(name) <= 255:  # noqa: PLR2004
        _refuse("bad-value", f"{where}: 'name' is the name of a file")
    if not isinstance(kind, str) or not _TYPE.fullmatch(kind) or kind.startswith(("multipart/", "message/")):
        _refuse("bad-value", f"{where}: 'type' is a media type, such as application/pdf")
    return cid, name, kind


def _allow(address: str, patterns: tuple[str, ...], words: str) -> None:
    if not any(matches(address, pattern) for pattern in patterns):
        raise EffectError("mail/not-allowed", f"{words}: its operator lists who may", "requestor", sent=False)


def _too_large(size: int, most: int) -> str:
    return f"the message has {size} bytes or more; this worker sends at most {most}"


def _refuse(code: str, message: str) -> NoReturn:
    raise EffectError(f"mail/{code}", message, "requestor", sent=False)
