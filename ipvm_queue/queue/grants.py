"""What the tasks of a job may do: each is judged as if the user invoked it on the service by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipvm_queue.plan import COMMIT
from ipvm_queue.queue.proofs import Proofs
from ipvm_queue.ucan import Command, UcanError
from ipvm_queue.ucan.meter import Meter
from ipvm_queue.ucan.proof import check_policies
from ipvm_queue.ucan.window import check_time

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ipvm_queue.ipld import Link, Value
    from ipvm_queue.ucan import Delegation, Validator


class Grants:
    """The delegations that were sent along with a job, from `service` to `user` (both DIDs)."""

    def __init__(self, tokens: Mapping[Link, bytes], service: str, user: str, validator: Validator) -> None:
        self._proofs = Proofs(tokens, validator)
        self._service = service
        self._user = user
        self._chains: dict[str, list[tuple[Delegation, ...]]] = {}

    def allow(
        self,
        command: str,
        args: Value,
        *,
        now: int,
        revoked: Collection[Link],
        promises: bool = False,
        meter: Meter | None = None,
    ) -> bool:
        """Raise the `UcanError` for a task that may not be; return whether it may be with any other args too.

        One chain has to cover the command and have its policies hold for `args`. With `promises`, statements that
        reach one are left for when it is resolved. `meter` counts what it costs together with other tasks.
        """
        if command == COMMIT:  # the queue's own step between two parts of a job: it does nothing
            return True
        meter = meter or Meter()
        refusal: UcanError | None = None
        for chain in self._of(command):
            meter.spend(len(chain))
            try:
                for each in chain:
                    check_time(each, now)
                if any(each.link in revoked for each in chain):
                    continue
                if not any(each.pol.statements for each in chain):
                    return True
                check_policies(args, chain, promises=promises, meter=meter)
            except UcanError as error:
                refusal = refusal or error
            else:
                return False
        raise refusal or self._proofs.lacking(
            self._service, self._user, Command.parse(command), now=now, revoked=revoked
        )

    def _of(self, command: str) -> list[tuple[Delegation, ...]]:
        if command not in self._chains:
            found = list(self._proofs.chains(self._service, self._user, Command.parse(command)))
            found.sort(key=lambda chain: sum(len(each.pol.statements) for each in chain))
            self._chains[command] = found
        return self._chains[command]
