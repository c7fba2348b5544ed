"""Mail: `msg/send` from the mailbox that a `mailto:` URI names (effects 2, 4).

Resource is that mailbox. A mail server keeps no keys and answers no questions about messages, so there is no
`reconcile`: a message whose acceptance was not heard is in doubt until a person has looked for its Message-ID.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.effects.contract import Call, Context, Effect, EffectError, Outcome, Safety
from ipvm_queue.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_TEXT: Final = {"type": "string"}
_TEXTS: Final = {"type": "array", "items": _TEXT}
CONFIG: Final = {
    "smtp": {
        "server": {**_TEXT, "description": "HOST:PORT"},
        "tls": {"enum": ["starttls", "tls", "none"]},
        "user": _TEXT,
        "password": _TEXT,
        "password_file": _TEXT,
        "senders": {**_TEXTS, "description": "mailboxes that jobs may send from: alice@example.com, *@example.com"},
        "receivers": {**_TEXTS, "description": "who may be sent to; default: anybody"},
        "ca_file": {**_TEXT, "description": "certificates trusted beside the public ones"},
        "hello": {**_TEXT, "description": "how this worker names itself"},
        "timeout": {"type": "number", "description": "seconds of a whole conversation"},
        "max_bytes": {"type": "integer", "description": "largest message"},
        "max_receivers": {"type": "integer"},
    }
}
_ADDRESSES: Final = {"anyOf": [_TEXT, _TEXTS]}
_BODY: Final = {"anyOf": [_TEXT, {"type": "object", "properties": {"text": _TEXT, "html": _TEXT}}]}
_ATTACHMENT: Final = {
    "anyOf": [
        {"type": "link"},
        {"type": "object", "required": ["cid"], "properties": {"cid": {"type": "link"}, "name": _TEXT, "type": _TEXT}},
    ]
}
_SCHEMA: Final = {
    "type": "object",
    "required": ["to"],
    "properties": {
        "to": {**_ADDRESSES, "description": "who gets it: an address, Name <address>, or a list of them"},
        "cc": _ADDRESSES,
        "bcc": _ADDRESSES,
        "from": {**_TEXT, "description": "the URI's address with a name: Alice <alice@example.com>"},
        "reply_to": _ADDRESSES,
        "in_reply_to": {**_TEXT, "description": "a Message-ID"},
        "subject": {"type": "string", "maxLength": 998},
        "value": {**_BODY, "description": "the text, or {text, html}"},
        "body": {**_BODY, "description": "the same as value"},
        "message": {**_BODY, "description": "the same as value"},
        "attachments": {"type": "array", "maxItems": 100, "items": _ATTACHMENT, "description": "blocks by CID"},
    },
}


def _send(context: Context, call: Call) -> Outcome:
    """Build the message and hand it over; a fault of the configuration is the runner's."""
    from ipvm_queue.effects.mail_message import message_of  # noqa: PLC0415 - what only running needs
    from ipvm_queue.effects.mail_send import Conversation  # noqa: PLC0415
    from ipvm_queue.effects.mail_settings import read_settings  # noqa: PLC0415

    try:
        settings = read_settings(context.config("smtp"))
        return Conversation(settings, call.deadline).send(message_of(call, context.blocks, settings))
    except UsageError as error:
        raise EffectError("mail/bad-config", error.message, "runner", sent=False) from None


def _check(uri: str, args: Mapping[str, Any]) -> str | None:
    """Say what is wrong with the addresses and the text, before any server is spoken to."""
    from ipvm_queue.effects.mail_address import read_address, sender_of  # noqa: PLC0415 - what only running needs

    try:
        sender_of(uri)
        for field in ("to", "cc", "bcc", "from", "reply_to"):
            given = args.get(field, [])
            for entry in [given] if isinstance(given, str) else given:
                read_address(entry, field)
    except EffectError as error:
        return error.message
    return None if any(name in args for name in ("value", "body", "message")) else "needs 'value', the text"


def _mailbox(context: Context, call: Call) -> str:
    del context
    from ipvm_queue.effects.mail_address import sender_of  # noqa: PLC0415 - what only running needs

    return f"mailto:{sender_of(call.uri).lower()}"


EFFECTS: Final = (
    Effect(
        "mailto",
        "msg/send",
        Safety.COMMAND,
        _send,
        _SCHEMA,
        "sends mail from the mailbox that the URI names (SMTP)",
        resource=_mailbox,
        check=_check,
    ),
)
