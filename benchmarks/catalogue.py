"""How soon the catalogue paints, and how long a filter takes to answer, in headless Chromium from disk.

    python benchmarks/catalogue.py [--smoke] [--passes N] [--chromium PATH] [--driver PATH]

`paint` is the first contentful paint of a page that is opened anew. An answer begins with the event of a key
or a choice and ends when the list, or the plot, has been laid out: each letter of some searches, each choice
of each filter, and the filters cleared again, N times over. Needs selenium, chromium and chromedriver.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from zoo.catalogue import Grid, build_catalogue
from zoo.registry import installed

SMALL = Grid(samples=(500,), classes=(10,), sides=(32,), lengths=(64,), devices=("rtx-4090",))
WINDOWS = {"wide": (1440, 900), "narrow": (390, 844)}
VIEWS = {"table": "#/", "plot": "#/plot"}
SEARCHES = ("resnet 50", "vit small", "lstm", "nothing like it")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
)
PAINTED = "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
CHOICES = """
return [...document.querySelectorAll('.filters select')].flatMap(
  (field) => [...field.options].map((option) => [field.id, option.value]));
"""
ANSWER = """
const [name, value] = arguments;
const field = document.getElementById(name);
const from = performance.now();
if (field.type === 'checkbox') field.checked = value === '1';
else field.value = value;
field.dispatchEvent(new Event('input', { bubbles: true }));
document.body.offsetHeight;
return performance.now() - from;
"""


def main() -> None:
    """Builds the catalogue of what is installed and prints both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="one pass over a small catalogue")
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    parser.add_argument("--driver", default=shutil.which("chromedriver"))
    arguments = parser.parse_args()
    if not (arguments.chromium and arguments.driver):
        sys.exit("no chromium and chromedriver: apt-get install chromium-driver")
    passes = 1 if arguments.smoke else arguments.passes
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        built = build_catalogue(installed(), Path(folder, "page"), grid=SMALL if arguments.smoke else Grid())
        took = time.process_time() - began
        size = sum(file.stat().st_size for file in built.folder.rglob("*") if file.is_file())
        browser = _browser(arguments.chromium, arguments.driver, folder)
        try:
            print(f"{platform.machine()}, {browser.capabilities['browserVersion']}, {os.cpu_count()} cores")
            models = len(installed().models)
            print(f"{models:,} models in {took:.0f} s of the processor, {size / 1e6:.1f} MB")
            print(f"{'':16}{'answers':>9}{'median':>9}{'95th':>9}{'most':>9}   load")
            for row in _rows(browser, (built.folder / "index.html").as_uri(), passes):
                print(row, flush=True)
        finally:
            browser.quit()


def _browser(chromium: str, driver: str, folder: str) -> Any:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={folder}/profile"):
        options.add_argument(flag)
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))


def _rows(browser: Any, page: str, passes: int) -> Iterator[str]:
    for window, (width, height) in WINDOWS.items():
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        yield _row(f"paint, {window}", [_paint(browser, page) for _ in range(2 * passes)])
        for view, place in VIEWS.items():
            browser.get("about:blank")
            browser.get(page + place)
            _wait(browser, "return document.querySelectorAll('tbody tr, .plot circle, .plot path').length")
            times = [
                browser.execute_script(ANSWER, name, value)
                for _ in range(passes)
                for name, value in _answers(browser)
            ]
            yield _row(f"{view}, {window}", times)


def _paint(browser: Any, page: str) -> float:
    browser.get("about:blank")
    browser.get(page)
    return float(_wait(browser, PAINTED))


def _answers(browser: Any) -> Iterator[tuple[str, str]]:
    """Fields and what goes into them, each cleared before the next."""
    for search in SEARCHES:
        yield from (("q", search[:letters]) for letters in range(1, len(search) + 1))
        yield "q", ""
    for name, value in browser.execute_script(CHOICES):
        yield name, value
        yield name, ""
    for name, value in (("min", "10M"), ("max", "30M"), ("weights", "1")):
        yield name, value
    for name in ("min", "max", "weights"):
        yield name, ""


def _wait(browser: Any, script: str) -> Any:
    for _ in range(500):
        found = browser.execute_script(script)
        if found:
            return found
        time.sleep(0.02)
    sys.exit(f"nothing after 10 s: {script}")


def _row(name: str, times: Sequence[float]) -> str:
    ordered = sorted(times)
    late = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
    cells = "".join(f"{value:>6.0f} ms" for value in (statistics.median(ordered), late, ordered[-1]))
    return f"{name:16}{len(ordered):>9}{cells}   {os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    main()
