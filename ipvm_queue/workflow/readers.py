"""`read`: any document to one `Workflow`, by its shape, never by the name of its file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ipvm_queue.errors import DocumentError, Fault
from ipvm_queue.workflow.document import read_document
from ipvm_queue.workflow.faults import kind_of
from ipvm_queue.workflow.homestar import is_homestar, read_homestar, tame_fuel
from ipvm_queue.workflow.limits import DocumentLimits
from ipvm_queue.workflow.source import check_fit, parse
from ipvm_queue.workflow.workflow_v01 import is_workflow, read_workflow

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipvm_queue.ipld import Value
    from ipvm_queue.workflow.model import Workflow
    from ipvm_queue.workflow.source import Source

LIMITS: Final = DocumentLimits()


def read(data: bytes | str | dict[str, Value], *, name: str = "document", limits: DocumentLimits = LIMITS) -> Workflow:
    """Return the checked workflow of a document.

    `data` is DAG-JSON text, DAG-CBOR bytes or an IPLD value; `name` is what messages call it. Raises `DocumentError`
    with every fault of the document, `SignatureError` (first, and alone) when it is signed and the signature is wrong.
    """
    source = parse(data, name, limits)
    if type(source.value) is not dict:
        fault = Fault("wrong-type", f"{name} is {kind_of(source.value)}; a document is a map", line=1, column=1)
        raise DocumentError([fault], name=name)
    if is_homestar(source.value):
        source = replace(source, value=tame_fuel(source.value))
    check_fit(source, limits)
    return _reader_of(source.value)(source, limits)


def _reader_of(value: dict[str, Value]) -> Callable[[Source, DocumentLimits], Workflow]:
    if is_homestar(value):
        return read_homestar
    return read_workflow if is_workflow(value) else read_document
