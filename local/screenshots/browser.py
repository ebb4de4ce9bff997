"""Log in to an Airflow with headless Chromium and take pictures of its pages: ``browser.py URL USER CHROMIUM FOLDER``.

Run by an interpreter that has Playwright. Standard input is a JSON document: ``{"password": …, "pictures": […]}``, so
that the password is on no command line. A picture is:

``file``     its name in FOLDER
``path``     of the page, such as ``/dags/demo_fan_out``
``wait_for`` texts that must be visible before the picture is taken
``click``    what to click then, one after the other: a text, or a CSS selector that begins with ``css=``
``show``     a text to scroll to, in the middle of the picture
``hide``     CSS selectors of what is in the way
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Error, Locator, Page, sync_playwright

_SIZE = {"width": 1400, "height": 850}
_FLAGS = (
    "--no-sandbox",  # as root there is none
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_PATIENCE = 30_000  # milliseconds for whatever must be there
_SETTLE = 1_500  # milliseconds after the last change: animations, and what is drawn after it is there


def log_in(page: Page, address: str, user: str, password: str) -> None:
    """Fill in the login page, and wait until it has let us in."""
    page.goto(address)
    page.fill("input[name=username]", user)
    page.fill("input[name=password]", password)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "login" not in url)
    page.wait_for_load_state("networkidle")


def visible(page: Page, target: str) -> Locator:
    """The first visible element of a text or selector, once there is one."""
    found = page.locator(target[4:]) if target.startswith("css=") else page.get_by_text(target)
    shown = found.locator("visible=true").first
    shown.wait_for(state="visible")
    return shown


def take(page: Page, address: str, picture: dict[str, Any], folder: Path) -> None:
    """Open a page, bring it to where it shows something, and take the picture."""
    page.goto(address + picture["path"])
    page.wait_for_load_state("networkidle")
    for target in picture.get("click", ()):
        visible(page, target).click()
        page.wait_for_timeout(_SETTLE)
    for target in picture.get("wait_for", ()):
        visible(page, target)
    if picture.get("show"):
        visible(page, picture["show"]).evaluate("element => element.scrollIntoView({block: 'center'})")
    for target in picture.get("hide", ()):
        page.add_style_tag(content=f"{target} {{ display: none !important; }}")
    page.mouse.move(0, 0)  # no tooltip
    page.wait_for_timeout(_SETTLE)
    page.screenshot(path=folder / picture["file"])


def main() -> int:
    """Take the pictures. Exit code 1 and one message when one could not be taken."""
    address, user, chromium, folder = sys.argv[1:]
    said = json.load(sys.stdin)
    picture: dict[str, Any] = {"file": "the login"}
    with tempfile.TemporaryDirectory(prefix="airflow-ecs-browser-") as profile, sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            profile, executable_path=chromium, headless=True, args=list(_FLAGS), viewport=_SIZE, locale="en-US"
        )
        page = browser.pages[0]
        page.set_default_timeout(_PATIENCE)
        try:
            log_in(page, address, user, said["password"])
            for picture in said["pictures"]:
                take(page, address, picture, Path(folder))
                print(picture["file"], flush=True)
        except Error as error:
            page.screenshot(path=Path(folder) / "failed.png")
            print(f"{picture['file']}: {error.message} (what is there instead: {folder}/failed.png)", file=sys.stderr)
            return 1
        finally:
            browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
