"""Where every command ends: exit codes, errors in words or JSON, and never a traceback."""

from __future__ import annotations

import os
import sys
import traceback
from typing import TYPE_CHECKING, Final, NoReturn

import click

from ipvm_queue.cli import streams, words
from ipvm_queue.cli.answer import answer, begin, is_given
from ipvm_queue.errors import IpvmError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipvm_queue.ipld import Value

OK: Final = 0
RUN_FAILED: Final = 1
IN_DOUBT: Final = 4
INTERNAL: Final = 70
INTERRUPTED: Final = 130
STATUSES: Final = {
    1: "error",
    2: "invalid",
    3: "refused",
    4: "in-doubt",
    5: "timeout",
    6: "unavailable",
    130: "interrupted",
}


class InterruptedByUserError(IpvmError):
    """What JSON says of a command that Ctrl-C has ended."""

    code = "interrupted"
    exit_code = INTERRUPTED


class _InternalError(IpvmError):
    code = "internal"
    exit_code = INTERNAL


def run(command: click.Command, program: str) -> NoReturn:
    """Run a command with the process's arguments and end the process with its exit code."""
    streams.prepare()
    sys.exit(call(command, sys.argv[1:], program))


def call(command: click.Command, arguments: Sequence[str], program: str) -> int:
    """Run a command and return its exit code; a command returns its own, or None for success."""
    as_json = "--json" in arguments
    begin()
    try:
        code = command.main(list(arguments), prog_name=program, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except (IpvmError, click.ClickException) as error:
        return report(_ours(error), as_json=as_json)
    except UnicodeEncodeError as error:  # a file may be called so, anything else that an argument means may not
        culprit = next((each for each in arguments if error.object[error.start] in each), error.object)
        return report(UsageError(f"this is not UTF-8: {culprit!r}"), as_json=as_json)
    except (KeyboardInterrupt, click.exceptions.Abort) as error:
        told = ": ".join(("interrupted", *map(str, (error.__cause__ or error).args)))
        words.say(told)
        return _end(InterruptedByUserError(told), as_json=as_json)
    except Exception as error:  # noqa: BLE001 - the one place where what nobody foresaw ends
        if os.environ.get("IPVM_DEBUG"):
            traceback.print_exc()
        hint = "this is a fault of ipvm-queue; IPVM_DEBUG=1 shows where, please report it"
        return report(_InternalError(f"{type(error).__name__}: {error}", hint=hint), as_json=as_json)
    return code if isinstance(code, int) else OK


def report(error: IpvmError, *, as_json: bool) -> int:
    """Print an error in words, and as the answer if that is JSON and not given yet; return its exit code."""
    words.error(error)
    return _end(error, as_json=as_json)


def failure(error: IpvmError) -> dict[str, Value]:
    """Return what an answer in JSON says of an error."""
    return {"status": STATUSES.get(error.exit_code, "error"), "error": error.as_dict()}


def _end(error: IpvmError, *, as_json: bool) -> int:
    if as_json and not is_given():
        try:
            answer(failure(error))
        except UsageError as unwritten:
            words.error(unwritten)
    return error.exit_code


def _ours(error: IpvmError | click.ClickException) -> IpvmError:
    """Return click's complaint in our words, with the command whose help explains it; our own errors as they are."""
    if isinstance(error, IpvmError):
        return error
    context = getattr(error, "ctx", None)
    message = error.format_message().rstrip(".").replace("\n\t", " ")  # click lists what may be chosen, a line each
    return UsageError(message[:1].lower() + message[1:], hint=f"{context.command_path} --help" if context else None)
