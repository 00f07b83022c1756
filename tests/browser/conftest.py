import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.stack_fixture import RunningStack, stack

__all__ = ["stack"]

ARGUMENTS = [
    "--no-sandbox",  # root, and containers, have no sandbox to give
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]


@pytest.fixture(scope="session")
def demonstrated(stack: RunningStack) -> RunningStack:
    """The stack after the demo."""
    result = stack.run("demo")
    assert result.returncode == 0, result.stdout + result.stderr
    return stack


@pytest.fixture(scope="session")
def page() -> Iterator[Page]:
    """A page in a headless Chromium."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    assert chromium, "A browser is needed. Debian, Ubuntu: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser.new_page(viewport={"width": 1440, "height": 900})
        browser.close()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where pictures go."""
    return Path(os.environ.get("CONSTELLATION_SCREENSHOTS", tmp_path))
