"""The guests in examples/guests, through the executor that runs them in jobs."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import wasmtime
from PIL import Image, ImageFilter
from wasmtime import component

from ipvm_queue.errors import MissingBlockError
from ipvm_queue.ipld import Link
from ipvm_queue.wasm import Executor, Limits, inspect
from ipvm_queue.workflow import read

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipvm_queue.ipld import Value

ROOT = Path(__file__).parents[2]
GUESTS = ROOT / "examples" / "guests"
DOCUMENTS = sorted(path for path in ROOT.glob("examples/*/*.json") if path.parent.name in {"pipeline", "errors"})
LARGE = bytes(5 << 20)
LIMITS = Limits(gas=50_000_000, memory=16 << 20, time=60.0)
SPEC_GAS = 4_600  # what the specification's example gives its jobs
FAILURE = {
    "label": "half",
    "task": Link.of(b"task"),
    "receipt": Link.of(b"receipt"),
    "error": {"list": [1, -300, 2.5, None, True], "map": {"text": "x" * 300, "link": Link.of(b"")}, "bytes": b"\0\1"},
}


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Value]]:
    """Call a guest by the name of its file, and return its Result."""
    blocks = {Link.of(path.read_bytes()): path.read_bytes() for path in GUESTS.glob("*.wasm")}
    blocks[Link.of(LARGE)] = LARGE

    def get_block(cid: Link) -> bytes:
        if cid not in blocks:
            raise MissingBlockError("not there")
        return blocks[cid]

    executor = Executor(get_block, tmp_path_factory.mktemp("artefacts"))

    def run(guest: str, func: str, *args: Value, limits: Limits = LIMITS) -> dict[str, Value]:
        return executor.run(Link.of((GUESTS / guest).read_bytes()), func, list(args), limits).out

    yield run
    executor.close()


@pytest.fixture
def picture() -> Image.Image:
    """Return a small image whose samples all differ from their neighbours'."""
    return Image.frombytes("RGB", (40, 24), bytes(index * 83 % 251 for index in range(40 * 24 * 3)))


def ppm(image: Image.Image) -> bytes:
    """Return an image as binary PPM, or PGM if it is grey."""
    return b"P%d\n%d %d\n255\n" % (5 if image.mode == "L" else 6, *image.size) + image.tobytes()


@pytest.mark.parametrize("guest", ["full-name.wasm", "full-name.core.wasm"])
@pytest.mark.parametrize("args", [["Boris", "Mann"], [{"firstName": "Boris"}, {"lastName": "Mann"}]])
def test_full_name_takes_its_arguments_by_position_and_by_name(call, guest, args):
    """Both kinds of module join the names of the specification's example, within its gas."""
    out = call(guest, "fullName", *args, limits=Limits(SPEC_GAS, LIMITS.memory, LIMITS.time))

    assert out == {"ok": "Boris Mann" if guest == "full-name.wasm" else ["Boris Mann"]}


@pytest.mark.parametrize("guest", ["count.wasm", "count.core.wasm"])
@pytest.mark.parametrize("name", ["", "Boris Mann", "Zoë Ångström", "名前", "🦊" * 300])
def test_count_counts_characters_not_bytes(call, guest, name):
    """Both kinds of module agree with Python about how many characters a name has, however they are encoded."""
    assert call(guest, "count", {"name": name}) == {"ok": len(name)}


@pytest.mark.parametrize("args", [[], ["Boris"], ["Boris", 7], [{"first": "Boris", "last": "Mann"}, "x"]])
def test_a_bytes_guest_traps_on_arguments_that_it_does_not_take(call, args):
    """The reader in cbor.h never reads past the end and never takes one type for another."""
    assert call("full-name.core.wasm", "fullName", *args)["error"]["code"] == "wasm/unreachable"


@pytest.mark.parametrize(("start", "end", "count"), [(0, 100, 25), (0, 3, 1), (99_990, 100_000, 1), (24, 29, 0)])
def test_primes_are_counted(call, start, end, count):
    """count-primes counts from its start up to, but not including, its end."""
    assert call("primes.wasm", "count-primes", start, end) == {"ok": count}


def test_parts_are_added_up(call):
    """Sum takes a list as long as a flat reduce needs, and knows 64 bits."""
    assert call("primes.wasm", "sum", {"parts": list(range(1000))}) == {"ok": 499_500}
    assert call("primes.wasm", "sum", [2**63, 2**63 - 1]) == {"ok": 2**64 - 1}
    assert call("primes.wasm", "sum", []) == {"ok": 0}


def test_divide_returns_its_own_error(call):
    """The error of a `result` is the receipt's error, as the guest worded it."""
    assert call("divide.wasm", "divide", -85, 2) == {"ok": -42}
    assert call("divide.wasm", "divide", 1, 0) == {"error": "division by zero"}
    assert call("divide.wasm", "divide", -(2**63), -1) == {"error": "the quotient is too large"}
    assert call("divide.wasm", "apologise", "division by zero") == {"ok": "Sorry: division by zero."}


@pytest.mark.parametrize(
    ("func", "answer"),
    [
        ("finish", {"ok": "went on without half"}),
        ("divert", {"rewire": "half-spare"}),
        ("reword", {"msg": "there is no half today"}),
    ],
)
def test_recover_reads_the_label_out_of_any_failure(call, func, answer):
    """The catch handlers step over whatever else a Failure holds."""
    assert call("recover.core.wasm", func, FAILURE) == {"ok": answer}


@pytest.mark.parametrize(
    ("func", "args", "code"),
    [
        ("spin", [], "wasm/out-of-gas"),
        ("hoard", [300], "wasm/unreachable"),
        ("divide", [1, 0], "wasm/integer-division-by-zero"),
    ],
)
def test_faults_end_in_errors_with_a_code(call, func, args, code):
    """What the examples promise of each fault."""
    assert call("faults.wasm", func, *args, limits=Limits(100_000, 16 << 20, 60.0))["error"]["code"] == code


def test_faults_are_fine_within_their_limits(call):
    """The same functions give values when they get what they ask for."""
    assert call("faults.wasm", "hoard", 20) == {"ok": 21}
    assert call("faults.wasm", "divide", 84, 2) == {"ok": 42}


def test_images_come_out_as_pillow_makes_them(call, picture):
    """Each function agrees with another implementation in every sample."""
    kernel = ImageFilter.Kernel((3, 3), [1, 2, 1, 2, 4, 2, 1, 2, 1], scale=16)
    grey = picture.convert("L")

    assert call("image.wasm", "grayscale", ppm(picture)) == {"ok": ppm(grey)}
    assert call("image.wasm", "crop", ppm(picture), 3, 5, 17, 19) == {"ok": ppm(picture.crop((3, 5, 20, 24)))}
    assert call("image.wasm", "crop", ppm(grey), 0, 0, 40, 24) == {"ok": ppm(grey)}
    assert call("image.wasm", "blur", ppm(picture)) == {"ok": ppm(picture.filter(kernel))}
    assert call("image.wasm", "blur", ppm(grey)) == {"ok": ppm(grey.filter(kernel))}
    for image in (picture, grey):
        turned = image.transpose(Image.Transpose.ROTATE_270)
        assert call("image.wasm", "rotate", ppm(image)) == {"ok": ppm(turned)}


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"P6",
        b"P4\n1 1\n255\n0",
        b"P6\n1 1\n255\n00",
        b"P5\n1 1\n65535\n00",
        b"P5\n0 0\n255\n",
        b"P5\n9999999 1\n255\n",
    ],
)
@pytest.mark.parametrize("func", ["grayscale", "blur", "rotate"])
def test_what_is_no_image_is_refused_in_words(call, func, file):
    """A file with another format, size or depth than it claims is the guest's error, not a trap."""
    assert call("image.wasm", func, file)["error"].startswith("not a binary P")


@pytest.mark.parametrize("corner", [(40, 0, 1, 1), (0, 0, 41, 1), (2**32 - 1, 0, 2, 1), (0, 0, 0, 5)])
def test_a_crop_outside_the_image_is_refused_in_words(call, picture, corner):
    """The part to crop lies inside the image; sums that wrap do not get around that."""
    out = call("image.wasm", "crop", ppm(picture), *corner)

    assert out == {"error": "the part to crop does not lie inside the image"}


def test_image_uses_simd():
    """The image guest has vector instructions, without which it is several times slower."""
    config = wasmtime.Config()
    config.wasm_relaxed_simd = False
    config.wasm_simd = False

    with pytest.raises(wasmtime.WasmtimeError, match="SIMD"):
        component.Component(wasmtime.Engine(config), (GUESTS / "image.wasm").read_bytes())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_jobs_of_the_examples_name_guests_that_exist(document):
    """Every `with` is a module of this repository, by path or by CID, that exports the function meant."""
    by_cid = {str(Link.of(path.read_bytes())): path for path in GUESTS.glob("*.wasm")}
    workflow = read(document.read_bytes(), name=document.name)
    for task in (*workflow.tasks.values(), *([workflow.catch] if workflow.catch else [])):
        name = str(task.resource)
        guest = document.parent / name.removeprefix("file:") if name.startswith("file:") else by_cid[name]
        info = inspect(guest.read_bytes())

        assert info.find(task.func) if task.func else info.choose(task.label)


def test_guests_import_blocks_and_nothing_else():
    """The examples are pure: one reads blocks, the others ask nothing of their host."""
    found = {path.name: [item.name for item in inspect(path.read_bytes()).imports] for path in GUESTS.glob("*.wasm")}

    assert {name: imports for name, imports in found.items() if imports} == {"load.wasm": ["ipvm:host/blocks"]}


def test_load_reads_a_block(call):
    """The bytes of a block come by its CID, given as a link or as its text; one that is not there is an error."""
    data = (GUESTS / "image.wasm").read_bytes()

    assert call("load.wasm", "load", {"cid": Link.of(data)}) == {"ok": data}
    assert call("load.wasm", "load", str(Link.of(data))) == {"ok": data}
    assert call("load.wasm", "load", Link.of(b"not there"))["error"]["code"] == "wasm/missing-block"


def test_load_cannot_take_a_block_that_is_too_large(call):
    """A block larger than what may cross into a component ends the call with its own code, not with the runner's."""
    error = call("load.wasm", "load", Link.of(LARGE))["error"]

    assert error["code"] == "wasm/input-limit"
    assert error["fault"] == "requestor"


def test_the_readme_of_the_guests_names_each_of_them():
    """No module without a line that says what it is, and none without its source."""
    text = (GUESTS / "README.md").read_text()
    for path in GUESTS.glob("*.wasm"):
        assert f"`{path.name}`" in text
        assert list((GUESTS / "src").glob(f"{path.stem}.[cw]*"))


def test_the_modules_in_the_guide_run(tmp_path):
    """The two core modules that docs/guests.md shows do what it says of them."""
    guide = (ROOT / "docs" / "guests.md").read_text()
    modules = [wasmtime.wat2wasm(text) for text in re.findall(r"```wat\n(.*?)```", guide, re.DOTALL)]
    blocks = {Link.of(module): bytes(module) for module in map(bytes, modules)}
    add, echo = blocks
    executor = Executor(blocks.__getitem__, tmp_path)
    args = [{"deep": [1, "two", b"three" * 40_000, None, {"four": 4.5}]}, Link.of(b"")]

    assert executor.run(add, "add", [40, 2], LIMITS).out == {"ok": 42}
    assert executor.run(echo, "echo", args, LIMITS).out == {"ok": args}


def test_the_guide_names_codes_that_exist():
    """Every error code of docs/guests.md is one that the executor gives."""
    source = "".join(path.read_text() for path in (ROOT / "ipvm_queue" / "wasm").glob("*.py"))
    codes = re.findall(r"`wasm/([a-z-]+)`", (ROOT / "docs" / "guests.md").read_text())

    assert len(set(codes)) > 20
    assert [code for code in codes if f'"{code}"' not in source] == []


def test_the_map_reduce_example_is_one_graph_of_a_thousand_chunks(monkeypatch):
    """make.py's document is valid, has a task for each chunk, and one total that everything flows into."""
    monkeypatch.syspath_prepend(str(ROOT / "examples" / "map-reduce"))
    sys.modules.pop("make", None)
    import make

    workflow = read(make.make_jobs(1_000_000, 1_000, 32))

    assert len(workflow.tasks) == 1_000 + 32 + 1
    assert make.sieve(1_000_000) == 78_498
