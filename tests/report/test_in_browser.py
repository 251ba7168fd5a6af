"""The report as its reader meets it: in a real browser, without a network."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from made_runs import make_run

from mnascli.report.content import gather
from mnascli.report.page import page

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: it is in the dev extra")
wait = pytest.importorskip("selenium.webdriver.support.wait")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="no browser: apt-get install chromium chromium-driver"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1300,1000"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    devices = ("host", "<img src=x onerror=alert(1)>")
    file = folder / "report.html"
    file.write_text(page(gather(make_run(folder / "<script>alert(1)<", devices=devices))), encoding="utf-8")
    return file


def load(browser: Any, file: Path) -> None:
    for log in ("browser", "performance"):
        browser.get_log(log)
    browser.get(file.as_uri())
    # The figures are drawn by promises, which a busy machine may keep after the page counts as loaded.
    ready = "return document.documentElement.dataset.ready === 'yes'"
    wait.WebDriverWait(browser, 60).until(lambda page: page.execute_script(ready), f"not drawn in 60 s: {file}")


def point_at(browser: Any, trace: int, number: int) -> tuple[float, float, int]:
    """Where a point of the first plane is on the screen, and its trial."""
    x, y, trial = browser.execute_script(
        "const plane = document.getElementById('plane-0'); plane.scrollIntoView({block: 'center'});"
        "const {xaxis, yaxis} = plane._fullLayout, trace = plane.data[arguments[0]], n = arguments[1];"
        "const box = plane.getBoundingClientRect();"
        "return [box.x + xaxis._offset + xaxis.d2p(trace.x[n]), box.y + yaxis._offset + yaxis.d2p(trace.y[n]),"
        " trace.customdata[n]]",
        trace,
        number,
    )
    return x, y, trial


def move_to(browser: Any, x: float, y: float, click: bool = False) -> None:
    kinds = ["mouseMoved", "mousePressed", "mouseReleased"] if click else ["mouseMoved"]
    for kind in kinds:
        values = {"type": kind, "x": x, "y": y, "button": "left" if kind != "mouseMoved" else "none", "clickCount": 1}
        browser.execute_cdp_cmd("Input.dispatchMouseEvent", values)


def test_it_loads_with_no_error_and_no_request(browser: Any, report: Path) -> None:
    load(browser, report)
    assert browser.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]
    assert [url for url in urls if not url.startswith("data:")] == [report.as_uri()]
    figures = browser.execute_script("return document.querySelectorAll('.js-plotly-plot .main-svg').length")
    assert figures >= 6
    assert browser.execute_script("return document.querySelectorAll('img').length") == 0


def hover(browser: Any, x: float, y: float) -> str:
    """Point at a place until something is said of it; what is said."""
    for step in range(50):
        move_to(browser, x + step % 2, y)  # plotly looks again only when the mouse moves
        words = browser.execute_async_script(
            "setTimeout((done) => done(document.querySelector('#plane-0 .hoverlayer').textContent), 100, arguments[0])"
        )
        if words:
            return str(words)
    return ""


def test_pointing_at_a_trial_tells_its_architecture(browser: Any, report: Path) -> None:
    load(browser, report)
    x, y, trial = point_at(browser, 0, 0)
    words = hover(browser, x, y)
    assert f"trial {trial}" in words
    assert "Conv" in words and "filters" in words


def test_a_click_shows_the_trial(browser: Any, report: Path) -> None:
    load(browser, report)
    before = browser.execute_script("return document.getElementById('detail').dataset.trial")
    x, y, trial = point_at(browser, 0, 1)
    assert str(trial) != before
    assert f"trial {trial}" in hover(browser, x, y)
    move_to(browser, x, y, click=True)
    words = browser.execute_async_script(
        "const [trial, done] = arguments, since = Date.now(), detail = document.getElementById('detail');"
        "(function look() { if (detail.dataset.trial === trial || Date.now() - since > 10000) done(detail.innerText);"
        " else setTimeout(look, 50); })();",
        str(trial),
    )
    assert f"Trial {trial}" in words
    assert "<img src=x onerror=alert(1)>" in words  # the device's name, as text
    assert f"mnas train <script>alert(1)<:{trial}" in words


def test_a_block_of_no_layers_is_not_drawn_and_numbers_are_short(browser: Any, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", 2)
    log = run / "events.jsonl"
    first = "stem_c8,ir_r0_k3_s1_e3_c8,ds_r2_k5_s2_c16,cn_r1_k3_s1_c16,head_c32_d0.1,net_i28_ch1_o10"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for event in lines:
        if event["event"] == "asked":
            event["trials"][0]["architecture"] = first
        if event["event"] == "measured":
            event |= {"latency_ms": 0.32804, "p5_ms": 0.32101, "p95_ms": 0.34567}
    log.write_text("".join(json.dumps(event) + "\n" for event in lines))
    file = tmp_path / "report.html"
    file.write_text(page(gather(run)), encoding="utf-8")
    load(browser, file)
    panel = browser.find_element("id", "detail").text
    assert "SepConv 5x5" in panel and "×2" in panel
    assert "×0" not in panel and "×1" not in panel and "MBConv" not in panel
    assert "0.328 ms (0.321 to 0.346)" in panel and "0.32804" not in panel
    assert "×0" not in browser.find_element("tag name", "main").text


def test_a_run_with_nothing_in_it(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "events.jsonl").touch()
    file = tmp_path / "report.html"
    file.write_text(page(gather(tmp_path / "new")), encoding="utf-8")
    load(browser, file)
    assert browser.get_log("browser") == []
    assert "No trial has given a result yet" in browser.execute_script("return document.body.innerText")
