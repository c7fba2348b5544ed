"""Reads the labelled jobs of a document into tasks (IPVM job 3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.workflow.config import merge
from ipvm_queue.workflow.faults import Path, kind_of
from ipvm_queue.workflow.fields import ARGUMENTS, EFFECT, RESOURCES, WASM, WASM_TYPES, read_positional
from ipvm_queue.workflow.fields import TYPE as JOB_TYPE
from ipvm_queue.workflow.model import Config, Task
from ipvm_queue.workflow.promises import promises

if TYPE_CHECKING:
    from ipvm_queue.ipld import Value
    from ipvm_queue.workflow.shapes import Reading

MAX_LABEL: Final = 256  # jobs written in place repeat the label of the job around them
CATCH: Final = "catch"
_PLAIN: Final = 4  # fields of a Wasm job that has `type`, `with`, `func` and its arguments, and no more


class JobReader:
    """Builds the tasks of one document; `base` is what every job may use unless it says otherwise."""

    def __init__(self, reading: Reading, base: Config) -> None:
        self.tasks: dict[str, Task] = {}
        self.waits: dict[str, list[str]] = {}
        self._reading = reading
        self._base = base
        self._configs: dict[str, Config] = {}
        self._calls: dict[tuple[str, ...], Task] = {}

    def read_jobs(self, jobs: Value, path: Path) -> None:
        """Read a map of labelled jobs."""
        if type(jobs) is not dict:
            self._fault("wrong-type", f"jobs are a map from labels to jobs, this is {kind_of(jobs)}", path)
            return
        if not jobs:
            self._fault("no-jobs", "there is no job in it", path)
        for label, job in jobs.items():
            here = (*path, label)
            if not label or "/" in label:
                self._fault("bad-label", f"a label is not empty and has no '/': {label[:80]!r}", here, at_key=True)
            elif len(label) > MAX_LABEL:
                self._fault("bad-label", f"a label has at most {MAX_LABEL} characters", here, at_key=True)
            self.read_job(label[:MAX_LABEL], job, here)

    def read_job(self, label: str, job: Value, path: Path) -> None:
        """Read one job, and the jobs written in place in its `on`."""
        before = len(self._reading.promised)
        task, fields = self._task(label, job, path)
        if label in self.tasks:
            self._fault("duplicate-label", f"two jobs have the label {label[:80]!r}", path, at_key=True)
        if task is None:
            return
        self.tasks[label] = task
        self.waits[label] = [name for name, _path in self._reading.promised[before:]]
        for branch, followers in (fields["on"] or {}).items() if "on" in fields else ():
            for index, follower in enumerate(followers):
                if type(follower) is dict:
                    self.read_job(f"{label}.on.{branch}.{index}", follower, (*path, "on", branch, index))

    def read_catch(self, job: Value, path: Path) -> Task | None:
        """Read the job-wide `catch`: a Wasm job that takes nothing but the failure."""
        task, fields = self._task(CATCH, job, path)
        if task is None:
            return None
        if task.kind != "wasm":
            self._fault("bad-catch", "'catch' is a Wasm job: it only looks at the failure", path)
        if fields.get("on"):
            self._fault("bad-catch", "nothing comes after 'catch'", (*path, "on"), at_key=True)
        if next(promises(task), None) is not None:
            self._fault("bad-catch", "'catch' takes the failure, and no result of another job", path)
        return task

    def _task(self, label: str, job: Value, path: Path) -> tuple[Task | None, dict[str, Any]]:
        if type(job) is not dict:
            self._fault("wrong-type", f"a job is a map, this is {kind_of(job)}", path)
            return None, {}
        kind = job.get("type")
        if kind in WASM_TYPES:
            call = _call(job)
            if call in self._calls:
                return self._again(self._calls[call], label, job, call[-1], path), {}
            fields = WASM.read(job, path, self._reading)
            task = self._wasm(label, fields, path)
            if call and not self._reading.faults:
                self._calls[call] = task
            return task, fields
        if "do" in job if kind is None else JOB_TYPE.read(kind, (*path, "type"), self._reading):
            fields = EFFECT.read(job, path, self._reading)
            return self._effect(label, fields, path), fields
        if kind is None:
            hint = f'"type": "{WASM_TYPES[0]}" is a Wasm job, "type": "ipvm/effect" an effect'
            self._fault("missing-field", "a job needs the field 'type'", path, hint=hint)
        return None, {}

    def _again(self, task: Task, label: str, job: dict[str, Value], name: str, path: Path) -> Task:
        """Read a job that differs from an earlier one in its arguments alone: large documents are full of them."""
        args = read_positional(job[name], (*path, name), self._reading)
        at = self._at(path)
        return Task(label, task.kind, task.resource, task.ability, task.func, args, config=task.config, at=at)

    def _at(self, path: Path) -> Path:
        return path if self._reading.origin is None else self._reading.origin(path)

    def _wasm(self, label: str, fields: dict[str, Any], path: Path) -> Task:
        given = fields.get("ipvm/config") or {}
        gas = fields.get("maxGas")
        if gas is not None:
            if given.get("gas") not in (None, gas):
                self._fault("conflict", "'maxGas' and the gas in 'ipvm/config' differ", (*path, "maxGas"), at_key=True)
            given = {**given, "gas": gas}
        args = _given(ARGUMENTS, fields)
        return self._build(label, fields, given, path, kind="wasm", ability="wasm/run", func=fields.get("func"),
                           resource=fields.get("with"), args=[] if args is None else args)  # fmt: skip

    def _effect(self, label: str, fields: dict[str, Any], path: Path) -> Task:
        resource = _given(RESOURCES, fields)
        args = _given(ARGUMENTS, fields) or {}
        if "value" in fields:
            if "value" in args:
                self._fault("conflict", "the input 'value' is given twice", (*path, "value"), at_key=True)
            args = {**args, "value": fields["value"]}
        given = fields.get("ipvm/config") or {}
        return self._build(label, fields, given, path, kind="effect", ability=fields.get("do") or "",
                           resource=resource, args=args)  # fmt: skip

    def _build(self, label: str, fields: dict[str, Any], given: dict[str, Any], path: Path, **own: Any) -> Task:
        on = fields.get("on") or {}
        self._check_visibility(fields, given, path)
        return Task(
            label=label,
            nonce=fields.get("nonce"),
            config=self._config(given),
            public=fields.get("public"),
            force=bool(fields.get("force")),
            meta=fields.get("meta") or {},
            at=self._at(path),
            on_success=_labels(label, "success", on["success"]) if "success" in on else (),
            on_error=_labels(label, "error", on["error"]) if "error" in on else (),
            **own,
        )

    def _check_visibility(self, fields: dict[str, Any], given: dict[str, Any], path: Path) -> None:
        if "public" not in fields and "force" not in fields:
            return
        public = fields.get("public")
        if public and given.get("secret"):
            message = "'public' says that others may see the result, 'secret' in 'ipvm/config' that they may not"
            self._fault("conflict", message, (*path, "public"), at_key=True)
        if fields.get("force") and not public:
            self._fault("conflict", "'force' goes with \"public\": true", (*path, "force"), at_key=True)

    def _config(self, given: dict[str, Any]) -> Config:
        """Return what one job may use; equal requests share one value."""
        if not given:
            return self._base
        key = repr(given)
        if key not in self._configs:
            self._configs[key] = merge(self._base, given)
        return self._configs[key]

    def _fault(self, code: str, message: str, path: Path, *, hint: str | None = None, at_key: bool = False) -> None:
        self._reading.faults.add(code, message, path, hint=hint, at_key=at_key)


def _call(job: dict[str, Value]) -> tuple[str, ...]:
    """Return what a plain Wasm job says beside its arguments, and under which name it has them; nothing for others."""
    module, func = job.get("with"), job.get("func")
    if len(job) == _PLAIN and type(module) is type(func) is str:
        for name in ARGUMENTS:
            if name in job:
                return job["type"], module, func, name
    return ()


def _given(names: tuple[str, ...], fields: dict[str, Any]) -> Any:
    for name in names:
        if name in fields:
            return fields[name]
    return None


def _labels(label: str, branch: str, followers: tuple[Value, ...]) -> tuple[str, ...]:
    names = (item if type(item) is str else f"{label}.on.{branch}.{index}" for index, item in enumerate(followers))
    return tuple(dict.fromkeys(names))
