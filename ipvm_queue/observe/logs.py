"""Structured logs: one record a line, as JSON or for people, with run, node, label and task as fields.

Our own records and those of Celery and the libraries go through the same formatter, so that a log is of one kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import structlog

if TYPE_CHECKING:
    import logging

Form: TypeAlias = Literal["json", "console"]
_SHARED: Final[list[Any]] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    structlog.processors.UnicodeDecoder(),
]
_FIRST: Final = ("timestamp", "level", "event", "run", "node", "label", "task")


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return a logger whose fields are keyword arguments: `log.info("settled", run=run, node=3)`."""
    return structlog.stdlib.get_logger(name)


def dress(records: logging.Logger, form: Form) -> None:
    """Let the handlers of a logger write records in this form; a line each, tracebacks within their field."""
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_SHARED,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _in_order, _renderer(form)],
    )
    for handler in records.handlers:
        handler.setFormatter(formatter)


def _renderer(form: Form) -> Any:
    if form == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.processors.LogfmtRenderer(bool_as_flag=False)


def _in_order(_logger: Any, _method: str, fields: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Put what is looked for first, first."""
    first = {name: fields[name] for name in _FIRST if name in fields}
    rest = {name: value for name, value in fields.items() if name not in first}
    return first | rest


structlog.configure(
    processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)
