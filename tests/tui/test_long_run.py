"""A run of 20,000 trials: something of it is seen before all of it was read, and in the end all of it is right."""

import asyncio
import json
from pathlib import Path

import numpy as np
from screens import settle, text

from mnascli.tui.app import MonitorApp
from mnascli.tui.plot import GrowingArray
from mnascli.tui.run_screen import RunScreen
from mnascli.tui.trials_table import Rows

TRIALS, BATCH = 20_000, 100
BEST = 17_777
CONFIG = f"trials: {TRIALS}\nbatch: {BATCH}\nfinal: {{finalists: 1, seeds: 1, compare: []}}\n"


def write_log(file: Path) -> None:
    def line(time: float, event: str, values: str) -> str:
        return f'{{"v":1,"time":{time},"event":"{event}",{values}}}\n'

    with file.open("w") as log:
        log.write(line(0, "target_set", '"target_ms":{"phone":9.0},"why":"given"'))
        log.write(line(0, "phase", '"phase":"search"'))
        for first in range(0, TRIALS, BATCH):
            asked = [{"trial": n, "architecture": f"stem_c{n}"} for n in range(first, first + BATCH)]
            values = f'"step":{first // BATCH},"searcher":"s","trials":{json.dumps(asked)}'
            log.write(line(first, "asked", values))
            for n in range(first, first + BATCH):
                accuracy = 0.9 if n == BEST else 0.5 + n % 101 / 1000
                latency = f'"device":"phone","latency_ms":{5 + n % 37 / 10},"verdict":"stable"'
                log.write(line(n, "measured", f'"trial":{n},{latency}'))
                log.write(line(n, "trained", f'"trial":{n},"accuracy":{accuracy},"history":[{accuracy}],"seconds":1'))
                log.write(line(n, "done", f'"trial":{n},"reward":{accuracy}'))


def test_a_long_run_is_shown_while_it_is_read_and_is_right_in_the_end(tmp_path: Path) -> None:
    (tmp_path / "long").mkdir()
    (tmp_path / "long" / "config.yaml").write_text(CONFIG)
    write_log(tmp_path / "long" / "events.jsonl")

    async def main() -> None:
        app = MonitorApp(tmp_path / "long", tmp_path)
        async with app.run_test(size=(100, 30)) as pilot:
            screen = app.screen
            assert isinstance(screen, RunScreen)
            assert "best trial" in await settle(pilot, app, "best trial")
            assert screen.source.is_reading and screen.source.overview.finished < TRIALS
            assert "reading the log" in text(app)
            while screen.source.is_reading or screen.source.overview.finished < TRIALS:
                screen.source.poll(0.2)
                await pilot.pause()
            assert f"best trial {BEST}: accuracy 0.900" in await settle(pilot, app, f"best trial {BEST}")
            assert f"{TRIALS}/{TRIALS} 100%" in await settle(pilot, app, "100%")
            await pilot.press("5")
            assert f"{TRIALS} of {TRIALS} trials" in (await settle(pilot, app, f"of {TRIALS}")).replace(",", "")
            await pilot.press("slash", *f"trial={BEST}", "enter")
            await settle(pilot, app, "1 of")
            assert [trial.trial for trial in app.screen.query_one("#trials Rows", Rows).trials] == [BEST]

    asyncio.run(main())


def test_an_array_grows_with_its_list_and_begins_again_with_another() -> None:
    array, rows = GrowingArray(2), [(1, 0.5)]
    for n in range(5):
        assert np.array_equal(array.of(rows), np.array(rows))
        rows.append((n, 2.0 * n))
    assert np.array_equal(array.of([(7, 8)] * 9), np.array([(7, 8)] * 9))
    assert array.of([]).shape == (0, 2)
