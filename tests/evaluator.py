"""What a job's results should be: a plain, single-process reading of the documents that tests make.

It knows the guests of `modules.py`, promises, branches, and nothing of plans, queues or workers.
"""

from __future__ import annotations

from typing import Any

_WRAP = 1 << 64


class Expected:
    """The results of a job. `receipts` gives the receipt of a label (an error may name one), `trap` a trap's error."""

    def __init__(self, jobs: dict[str, dict[str, Any]], receipts: dict[str, Any], trap: Any) -> None:
        self._jobs = jobs
        self._receipts = receipts
        self._trap = trap
        self.results: dict[str, dict[str, Any]] = {}
        self.states: dict[str, str] = {}
        self._when: dict[str, list[tuple[str, str]]] = {label: [] for label in jobs}
        for label, job in jobs.items():
            for branch, key in (("ok", "success"), ("error", "error")):
                for target in job.get("on", {}).get(key, ()):
                    self._when[target].append((label, branch))
        self._handled = {label for label, job in jobs.items() if job.get("on", {}).get("error")}
        for job in jobs.values():
            self._handled |= set(_handled(job["input"]))
        for label in jobs:
            self._evaluate(label)

    @property
    def status(self) -> str:
        """How the run should end."""
        failed = [label for label, state in self.states.items() if state == "error" and label not in self._handled]
        return "error" if failed else "ok"

    def _evaluate(self, label: str) -> dict[str, Any]:
        if label not in self.results:
            job = self._jobs[label]
            for source, _ in self._when[label]:
                self._evaluate(source)
            for source in _sources(job["input"]):
                self._evaluate(source)
            self.states[label], self.results[label] = self._outcome(label, job)
        return self.results[label]

    def _outcome(self, label: str, job: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        for source, branch in self._when[label]:
            if self.states[source] == "skipped" or branch not in self.results[source]:
                ended = "was skipped" if self.states[source] == "skipped" else f"ended in {self.states[source]}"
                words = f"not run: it is for the {branch} of {source!r}, which {ended}"
                return "skipped", {"error": {"code": "skipped", "message": words, "from": self._receipts[source]}}
        try:
            args = self._fill(job["input"])
        except _Mismatch as wrong:
            source, expected, got = wrong.args
            error = {"reason": "branch mismatch", "expected": expected, "got": got, "from": self._receipts[source]}
            quiet = expected == "error" or self.states[source] == "skipped" or source in self._handled
            return "skipped" if quiet else "error", {"error": error}
        match job["func"]:
            case "add":
                total = (args[0] + args[1]) % _WRAP
                return "ok", {"ok": total - _WRAP if total >= _WRAP // 2 else total}
            case "echo":
                return "ok", {"ok": args}
            case _:
                return "error", {"error": self._trap}

    def _fill(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._fill(item) for item in value]
        if not isinstance(value, dict):
            return value
        branch, source = _promise(value)
        if branch is None:
            return {key: self._fill(value[key]) for key in sorted(value, key=lambda key: (len(key), key))}
        result = self.results[source]
        if branch == "*":
            return result
        if branch not in result:
            raise _Mismatch(source, branch, next(iter(result)))
        return result[branch]


class _Mismatch(Exception):  # noqa: N818 - not an error of anybody's
    pass


def _promise(value: dict[str, Any]) -> tuple[str | None, str]:
    if value.keys() == {"from"}:
        return "ok", value["from"]
    for tag in ("await/ok", "await/error", "await/*"):
        if value.keys() == {tag}:
            return tag.removeprefix("await/"), value[tag]["from"]
    return None, ""


def _promises(value: Any) -> list[tuple[str, str]]:
    if isinstance(value, list):
        return [found for item in value for found in _promises(item)]
    if not isinstance(value, dict):
        return []
    branch, source = _promise(value)
    return [(branch, source)] if branch else _promises(list(value.values()))


def _sources(value: Any) -> list[str]:
    return [source for _, source in _promises(value)]


def _handled(value: Any) -> list[str]:
    return [source for branch, source in _promises(value) if branch != "ok"]
