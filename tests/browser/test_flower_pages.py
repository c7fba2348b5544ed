"""Flower as a person sees it: its pages in a real Chromium, after a run."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from deployment import PATIENCE, ROOT, Deployment
from playwright.sync_api import Browser, Page, expect, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.browser

CANARY = "Canarius"


def chromium() -> str:
    """Return the path of a Chromium of this machine; an error where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    assert path, "no Chromium here: apt-get install chromium"
    return path


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Return a broker, a worker and Flower."""
    running = Deployment(tmp_path_factory.mktemp("browser"))
    try:
        running.start_broker()
        running.start_gate()
        running.start_flower()
        running.start_worker("first")
        yield running
    finally:
        running.stop_all()


@pytest.fixture(scope="module")
def answer(deployment: Deployment) -> dict[str, Any]:
    """Return what `ipvm-submit --json` said of the pipelining example, with a canary for a name."""
    jobs = json.loads((ROOT / "examples" / "pipeline" / "job.json").read_text())
    for job in jobs.values():
        job["with"] = f"file:{(ROOT / 'examples' / 'pipeline' / job['with'].removeprefix('file:')).resolve()}"
    jobs["fullName"]["input"][0]["firstName"] = CANARY
    path = deployment.directory / "job.json"
    path.write_text(json.dumps(jobs))
    return deployment.submit(path)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return a running Chromium."""
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        running = playwright.chromium.launch(executable_path=chromium(), args=arguments)
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser, deployment: Deployment) -> Iterator[Page]:
    """Return a page that has Flower's user and password, and remembers nothing of the test before."""
    username, _, password = deployment.auth.partition(":")
    context = browser.new_context(
        base_url=f"http://127.0.0.1:{deployment.flower_port}",
        http_credentials={"username": username, "password": password},
        viewport={"width": 1400, "height": 800},
    )
    context.set_default_timeout(PATIENCE * 1000)
    expect.set_options(timeout=PATIENCE * 1000)
    yield context.new_page()
    context.close()


def visible(page: Page) -> str:
    """Return the page as text and as markup."""
    return page.inner_text("body") + page.content()


def keep_picture(page: Page, name: str) -> None:
    """Save a picture where SCREENSHOTS says, for whoever wants to look."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def test_tasks_are_listed_by_label(page: Page, answer: dict[str, Any]):
    """The task list has a row for each label, succeeded, and the canary nowhere."""
    page.goto("/tasks")
    for label in answer["tasks"]:
        row = page.locator("#tasks-table tbody tr", has_text=label)
        expect(row).to_have_count(1)
        expect(row).to_contain_text("SUCCESS")
        expect(row).to_contain_text("ipvm.run")
    keep_picture(page, "tasks")

    assert CANARY not in visible(page)


def test_a_label_can_be_searched_for(page: Page, answer: dict[str, Any]):
    """Typing a label into the search box leaves its row alone."""
    assert answer["status"] == "ok"
    page.goto("/tasks")
    page.locator("input[type=search]").fill("args:fullName")

    expect(page.locator("#tasks-table tbody tr")).to_have_count(1)
    expect(page.locator("#tasks-table tbody tr")).to_contain_text("fullName")


def test_a_task_s_page_has_its_receipt_and_no_value(page: Page, answer: dict[str, Any]):
    """A task's own page shows label, run and receipt CID; the canary is on none of them."""
    for label, told in answer["tasks"].items():
        page.goto("/tasks")
        page.locator("#tasks-table tbody tr", has_text=label).get_by_role("link", name=answer["run"]).click()
        expect(page.locator("body")).to_contain_text(told["receipt"]["/"])
        expect(page.locator("body")).to_contain_text(label)
        keep_picture(page, f"task-{label}")

        assert CANARY not in visible(page)


def test_workers_and_queues_are_shown(page: Page, answer: dict[str, Any]):
    """The worker is there by its name, and the broker page lists all queues."""
    page.goto("/workers")
    expect(page.locator("body")).to_contain_text("first@")
    keep_picture(page, "workers")
    page.goto("/broker")
    expect(page.locator("body")).to_contain_text("ipvm.wasm")
    expect(page.locator("body")).to_contain_text("ipvm.effects")
    keep_picture(page, "broker")

    assert answer["status"] == "ok"
    assert CANARY not in visible(page)


def test_nothing_can_be_commanded(page: Page, answer: dict[str, Any]):
    """Flower only looks: a worker's page offers no button that changes anything."""
    assert answer["status"] == "ok"
    page.goto("/workers")
    page.get_by_role("link", name="first@").first.click()
    expect(page.locator("body")).to_contain_text("first@")
    keep_picture(page, "worker")
    buttons = [text.strip() for text in page.get_by_role("button").all_inner_texts()]

    assert [
        text for text in buttons if text in ("Shut down", "Restart pool", "Grow", "Shrink", "Apply", "Revoke")
    ] == []
