"""Headless Chromium for tests of pages: opened, probed, its console read."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

WEBGL = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


def probed(page: Path, script: str, profile: Path, *, webgl: bool = True, width: int = 1200) -> str:
    """Open a page in which ``script`` runs and ends with ``say(text)``; returns the text.

    Fails if anything was reported as an error on the console.
    """
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium to open the page with")
    # Without a screen frames stop coming, and with them whatever waits for the next one.
    probe = (
        "<script>window.requestAnimationFrame = function (f) {"
        " return setTimeout(function () { f(performance.now()); }, 16); };\n"
        "function say(t) { document.title = 'PROBE ' + t; }\n"
        f"window.addEventListener('load', function () {{ {script} }});</script></body>"
    )
    copy = page.with_name("probed.html")
    head, _, tail = page.read_text(encoding="utf-8").rpartition("</body>")
    copy.write_text(head + probe + tail, encoding="utf-8")
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-dev-shm-usage", "--enable-logging=stderr",
         *(WEBGL if webgl else ["--disable-3d-apis"]),
         f"--user-data-dir={profile}", f"--window-size={width},1500", "--virtual-time-budget=30000",
         "--dump-dom", copy.as_uri()],
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    title = re.search(r"<title>PROBE (.*?)</title>", done.stdout)
    assert title, done.stderr[-3000:]
    assert not re.search(r"CONSOLE.*(Uncaught|Error|error)", done.stderr), done.stderr
    return title[1]
