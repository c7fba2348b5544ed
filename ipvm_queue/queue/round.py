"""`Round`: requests that a gate answers together.

Each request is a container of tokens; the one invocation in it that is addressed to the queue says what is asked for.
Every answer is a receipt that the queue signs: `{ok: …}`, or `{error: {code, rule, message, …}}`.
"""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING

from ipvm_queue.errors import CodecError, IpvmError, MissingBlockError, UnavailableError
from ipvm_queue.ipld import Link
from ipvm_queue.observe import logger
from ipvm_queue.queue.accept import Brought, Moment, find_request, read_tokens
from ipvm_queue.queue.intake import TakenBackError
from ipvm_queue.queue.requests import NO_REQUEST, PUSH
from ipvm_queue.store.inbox import CONTAINER, MAX_CONTAINER
from ipvm_queue.ucan import MalformedError, UcanError, issue
from ipvm_queue.ucan.revocation import REVOKE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipvm_queue.crypto import Signer
    from ipvm_queue.ipld import Value
    from ipvm_queue.queue.desk import Desk
    from ipvm_queue.queue.intake import Judged
    from ipvm_queue.store import Inbox, Revocations
    from ipvm_queue.store.inbox import Parcel
    from ipvm_queue.ucan import Invocation, Validator

_log = logger(__name__)


class Round:
    """Answers requests in their order; jobs that follow each other are judged one by one and entered together.

    `answers` are those to be given yet, None for what is no request; a job that is entered may have its answer already.
    It `is_outdated` once a delegation has been revoked: what was looked at before must be looked at again.
    """

    def __init__(
        self,
        signer: Signer,
        desk: Desk,
        inbox: Inbox,
        revocations: Revocations,
        validator: Validator,
        *,
        gate: str,
        max_bytes: int,
    ) -> None:
        self.answers: dict[str, bytes | None] = {}
        self.is_outdated = False
        self._gate = gate
        self._signer = signer
        self._desk = desk
        self._inbox = inbox
        self._revocations = revocations
        self._validator = validator
        self._max_bytes = max_bytes
        self._jobs: list[Judged] = []

    def take(self, request: str, parcel: Parcel) -> None:
        """Answer a request, or keep the job that it brings for `enter`. Raises `UnavailableError`."""
        if not parcel.sizes:
            self.answers[request] = None
            return
        asked: Invocation | None = None
        try:
            container = self._container(request, parcel)
            tokens = read_tokens(container)
            queue = self._signer.did
            asked = find_request(tokens, queue)
            brought = Brought(request, container, tokens, lambda: self._blocks(request, parcel))
            moment = Moment(queue, int(time()), self._revocations.all(parcel.revoked), self._validator)
            if str(asked.cmd) == PUSH:
                self._jobs.append(self._desk.judge(asked, brought, moment))
                return
            self.enter()  # what comes now may be about them
            answer = self._desk.answer(asked, brought, moment)
            self._accept(request, asked, self._said(asked.task, {"ok": answer}))
            self.is_outdated = str(asked.cmd) == REVOKE
        except UnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the next request is served
            self._refuse(request, asked, error)

    def enter(self) -> None:
        """Have the jobs run that were kept, and answer for them. Raises `UnavailableError`."""
        jobs, self._jobs = self._jobs, []
        if not jobs:
            return
        try:
            answers = self._desk.enter(jobs, self._gate)
        except UnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            if len(jobs) == 1:
                self._refuse(jobs[0].request, jobs[0].push, error)
            else:
                for self._jobs in ([job] for job in jobs):  # the others are not to suffer from the one
                    self.enter()
            return
        for job, answer in zip(jobs, answers, strict=True):
            if isinstance(answer, IpvmError):
                self._refuse(job.request, job.push, answer)
            else:
                self._accept(job.request, job.push, answer, run=job.admission.run)

    def _accept(self, request: str, asked: Invocation, answer: bytes | None, **more: str) -> None:
        _log.info("accepted", cmd=str(asked.cmd), issuer=asked.iss, token=str(asked.link), **more)
        if answer is not None:
            self.answers[request] = answer

    def _refuse(self, request: str, asked: Invocation | None, error: Exception) -> None:
        if isinstance(error, TakenBackError):
            self.answers[request] = None
            return
        token = None if asked is None else str(asked.link)
        if isinstance(error, IpvmError):
            out = _refusal(error)
            _log.warning("refused", rule=out["rule"], reason=error.message, request=request, token=token)
        else:
            out = {"code": "internal", "rule": "internal", "message": "the gate failed; its log says why"}
            _log.error("a request could not be handled", request=request, token=token, exc_info=error)
        self.answers[request] = self._said(NO_REQUEST if asked is None else asked.task, {"error": out})

    def _said(self, ran: Link, out: dict[str, Value]) -> bytes:
        return issue(self._signer, ran, out, {}, int(time()))[1]

    def _container(self, request: str, parcel: Parcel) -> bytes:
        if not 0 < parcel.sizes.get(CONTAINER, 0) <= MAX_CONTAINER:
            raise MalformedError(f"a request has a container of at most {MAX_CONTAINER} bytes")
        (data,) = self._parts(request, [CONTAINER], parcel)
        if data is None:
            raise MalformedError("the request has lapsed")
        return data

    def _parts(self, request: str, names: list[str], parcel: Parcel) -> list[bytes | None]:
        return [*map(parcel.parts.get, names)] if parcel.parts else self._inbox.parts(request, names)

    def _blocks(self, request: str, parcel: Parcel) -> Mapping[Link, bytes]:
        """Return the blocks that a request brings; raises where one is not what its CID says."""
        names = [name for name in parcel.sizes if name != CONTAINER]
        if sum(parcel.sizes[name] for name in names) > self._max_bytes:
            raise MalformedError(f"a request brings at most {self._max_bytes} bytes of blocks")
        found: dict[Link, bytes] = {}
        for name, data in zip(names, self._parts(request, names, parcel), strict=True):
            try:
                cid = Link.parse(name)
            except CodecError as error:
                raise MalformedError(f"a block's name is no CID: {error.message}") from error
            if data is None or not cid.matches(data):
                raise MissingBlockError(f"a block that came as {cid} is something else", rule="block")
            found[cid] = data
        return found


def _refusal(error: IpvmError) -> dict[str, Value]:
    fields = {name: value for name, value in error.as_dict().items() if value is not None}
    rule = error.name if isinstance(error, UcanError) else fields.get("rule", error.code)
    return {**fields, "code": "refused", "rule": rule}
