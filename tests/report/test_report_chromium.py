"""The page in a real browser: no sideways scrolling on a phone, no request, no script."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from run_document import HOSTILE, document
from test_report_page import poisoned

from ntkdist.report import compare_html, render_html, write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not on PATH")

PROBE = """<!doctype html><body style="margin:0"><iframe src="page.html" width="{width}"></iframe><script>
addEventListener("load", () => {{
  const page = document.querySelector("iframe").contentDocument;
  const root = page.documentElement;
  const images = [...page.images].filter(i => i.naturalWidth == 0).length;
  document.title = JSON.stringify({{scroll: root.scrollWidth, width: root.clientWidth, broken: images,
    scripts: page.scripts.length, dark: getComputedStyle(page.body).backgroundColor}});
}});</script>"""


def look(folder: Path, page: str, width: int, *flags: str) -> dict[str, object]:
    """What a probe around the page measures in headless Chromium."""
    (folder / "page.html").write_text(page, encoding="utf-8")
    (folder / "probe.html").write_text(PROBE.format(width=width), encoding="utf-8")
    assert CHROMIUM is not None
    command = [
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu",
        "--allow-file-access-from-files",
        f"--user-data-dir={folder / 'profile'}", f"--log-net-log={folder / 'net.json'}",
        "--window-size=1400,1000",
        *flags, "--virtual-time-budget=5000", "--dump-dom",
        (folder / "probe.html").as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title is not None, done.stderr[-2000:]
    found: dict[str, object] = json.loads(title[1])
    return found


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("kind", ["report", "comparison", "hostile", "unfinished"])
def test_nothing_overflows_and_every_figure_loads(kind: str, width: int, tmp_path: Path) -> None:
    page = {
        "report": lambda: render_html(document()),
        "comparison": lambda: compare_html([document()] * 3),
        "hostile": lambda: render_html(poisoned(document(), "".join(HOSTILE))),
        "unfinished": lambda: render_html({k: document()[k] for k in ("data", "kernel", "gram")}),
    }[kind]()
    seen = look(tmp_path, page, width)
    assert seen["scroll"] == seen["width"]
    assert seen["broken"] == 0
    assert seen["scripts"] == 0
    assert "evil.example" not in (tmp_path / "net.json").read_text(encoding="utf-8")


def test_a_dark_screen_gets_a_dark_page(tmp_path: Path) -> None:
    light = look(tmp_path, render_html({}), 390, "--blink-settings=preferredColorScheme=1")
    dark = look(tmp_path, render_html({}), 390, "--blink-settings=preferredColorScheme=0")
    assert light["dark"] != dark["dark"]


def test_the_report_prints(tmp_path: Path) -> None:
    page = write_report(document(), tmp_path / "page.html")
    assert CHROMIUM is not None
    command = [
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu",
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--print-to-pdf={tmp_path / 'page.pdf'}", page.as_uri(),
    ]  # fmt: skip
    subprocess.run(command, capture_output=True, timeout=120, check=True)
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
