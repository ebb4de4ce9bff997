"""Log in to an Airflow with headless Chromium and take pictures of its pages: ``browser.py URL USER CHROMIUM FOLDER``.

Run by an interpreter that has Playwright. Standard input is a JSON document: ``{"password": …, "pictures": […]}``, so
that the password is on no command line. A picture is:

``file``     its name in FOLDER
``path``     of the page, such as ``/dags/demo_fan_out``
``wait_for`` texts that must be visible before the picture is taken
``show``     a text to scroll to, in the middle of the picture
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Error, Locator, Page, sync_playwright

_SIZE = {"width": 1400, "height": 850}
_FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_PATIENCE = 30_000  # milliseconds for whatever must be there
_SETTLE = 1_500  # milliseconds after the last change: animations, and what is drawn after it is there


def options(chromium: str) -> dict[str, Any]:
    """Of the browser, for Playwright: with Chromium's sandbox, but as root, where there can be none."""
    return {
        "executable_path": chromium,
        "chromium_sandbox": os.geteuid() != 0,
        "args": [*_FLAGS],
        "headless": True,
        "viewport": _SIZE,
        "locale": "en-US",
    }


def log_in(page: Page, address: str, user: str, password: str) -> None:
    """Fill in the login page, and wait until it has let us in."""
    page.goto(address)
    page.fill("input[name=username]", user)
    page.fill("input[name=password]", password)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "login" not in url)
    page.wait_for_load_state("networkidle")


def visible(page: Page, text: str) -> Locator:
    """The first visible element of a text, once there is one."""
    shown = page.get_by_text(text).locator("visible=true").first
    shown.wait_for(state="visible")
    return shown


def take(page: Page, address: str, picture: dict[str, Any], folder: Path) -> None:
    """Open a page, bring it to where it shows something, and take the picture."""
    page.goto(address + picture["path"])
    page.wait_for_load_state("networkidle")
    for text in picture.get("wait_for", ()):
        visible(page, text)
    if picture.get("show"):
        visible(page, picture["show"]).evaluate("element => element.scrollIntoView({block: 'center'})")
    page.mouse.move(0, 0)  # no tooltip
    page.wait_for_timeout(_SETTLE)
    page.screenshot(path=folder / picture["file"])


def what_is_there(page: Page) -> str:
    """Keep a picture of a page that does not show what it should, and say where; it is none of the docs' pictures."""
    path = Path(tempfile.mkdtemp(prefix="airflow-ecs-browser-")) / "failed.png"
    try:
        page.screenshot(path=path)
    except Error:
        path.parent.rmdir()
        return "the browser shows nothing any more"
    return f"what is there instead: {path}"


def take_all(page: Page, address: str, user: str, said: dict[str, Any], folder: Path) -> int:
    """Log in and take the pictures of the JSON document; the exit code, and a message on standard error if it is 1."""
    name = "the login"
    page.set_default_timeout(_PATIENCE)
    try:
        log_in(page, address, user, said["password"])
        for picture in said["pictures"]:
            name = picture["file"]
            take(page, address, picture, folder)
            print(name, flush=True)
    except Error as error:
        print(f"{name}: {error.message} ({what_is_there(page)})", file=sys.stderr)
        return 1
    return 0


def main() -> int:
    """Take the pictures. Exit code 1 and one message when one could not be taken."""
    address, user, chromium, folder = sys.argv[1:]
    said = json.load(sys.stdin)
    with tempfile.TemporaryDirectory(prefix="airflow-ecs-browser-") as profile, sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch_persistent_context(profile, **options(chromium))
        except Error as error:
            print(f"{chromium} did not start: {error.message}", file=sys.stderr)
            return 1
        with browser:
            return take_all(browser.pages[0], address, user, said, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
