"""One trial: its architecture drawn, raw samples, training curve, and what its child wrote."""

from __future__ import annotations

import numpy as np
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer, Static

from mnascli.runs import Trial, age, mark
from mnascli.runs.directory import output_file, trial_folder
from mnascli.tui import device_files, words
from mnascli.tui.drawing import draw
from mnascli.tui.export_dialog import ExportDialog
from mnascli.tui.plot import Plot
from mnascli.tui.source import RunSource

HIGHEST_PERCENT = 99  # of the samples: slower ones are drawn as slow as this
NARROW = 70  # cells: below this a block is drawn on two lines
APART = 0.02  # if the runs' own median differs by more, the latency was scaled to the normal speed
OUTPUT_BYTES = 1 << 16  # the last of a child's output


class TrialScreen(Screen[None]):
    CSS = """
    TrialScreen #facts { height: auto; padding: 0 1; background: $panel; }
    TrialScreen #parts { height: 1fr; }
    TrialScreen #architecture { text-wrap: wrap; }
    TrialScreen .part { height: auto; border-top: solid $secondary; padding: 0 1; }
    TrialScreen #samples, TrialScreen #curve { height: 16; }
    TrialScreen .-no-plot { height: auto !important; }
    TrialScreen .-no-plot Plot { display: none; }
    TrialScreen .column { height: auto; }
    TrialScreen.-wide #parts { layout: horizontal; }
    TrialScreen.-wide .column { width: 1fr; }
    """
    BINDINGS = [
        Binding("escape,backspace", "app.pop_screen", "Back"),
        Binding("n,right_square_bracket", "step(1)", "Next"),
        Binding("p,left_square_bracket", "step(-1)", "Previous"),
        Binding("c,y", "copy", "Copy architecture"),
        Binding("e", "export", "Export"),
        Binding("v", "device", "Device"),
        Binding("1", "part('architecture')", "Architecture", show=False),
        Binding("2", "part('samples')", "Samples", show=False),
        Binding("3", "part('curve')", "Training", show=False),
        Binding("4", "part('output')", "Output", show=False),
    ]

    def __init__(self, source: RunSource, trial: int, order: list[int]) -> None:
        super().__init__()
        self._source = source
        self._number = trial
        self._order = order
        self._device_index = 0
        self._shown: tuple[object, ...] | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="facts", markup=False)
        with VerticalScroll(id="parts"):
            with Vertical(classes="column"):
                yield Static(id="architecture", classes="part", markup=False)
                with VerticalScroll(id="samples", classes="part -no-plot"):
                    yield Static(markup=False)
                    yield Plot(whole=True)
            with Vertical(classes="column"):
                with VerticalScroll(id="curve", classes="part -no-plot"):
                    yield Static(markup=False)
                    yield Plot(whole=True)
                yield Static(id="output", classes="part", markup=False)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        titles = {"architecture": "Architecture", "samples": "Samples", "curve": "Training", "output": "Output"}
        for index, (name, title) in enumerate(titles.items(), 1):
            self.query_one(f"#{name}").border_title = f"{index} {title}"
        self.query_one("#parts").focus()
        self.call_after_refresh(self._show)
        self.set_interval(1.0, self._show)

    @property
    def trial(self) -> Trial:
        return self._source.overview.state.trials[self._number]

    def _show(self) -> None:
        """Draw the trial if anything about it has changed."""
        trial = self._source.overview.state.trials.get(self._number)
        if trial is None:  # the log is being read again
            return
        key = (self._number, self._device_index, trial.state, len(trial.latency_ms), trial.accuracy, *self.size)
        if key == self._shown and trial.finished:
            return
        self._shown = key
        self.query_one("#facts", Static).update(facts(trial, self._source))
        self.query_one("#architecture", Static).update(
            Text("\n").join([draw(trial.architecture, self.size.width < NARROW), Text(trial.architecture, style="dim")])
        )
        self._show_samples(trial)
        self._show_curve(trial)
        self.query_one("#output", Static).update(read_output(self._source, self._number))

    def _show_samples(self, trial: Trial) -> None:
        part = self.query_one("#samples")
        caption, plot = part.query_one(Static), part.query_one(Plot)
        devices = list(trial.latency_ms)
        if not devices:
            self._no_plot("#samples", "not measured yet" if not trial.finished else "not measured")
            return
        device = devices[self._device_index % len(devices)]
        latency = device_files.read_latency(self._source.path, self._number, device)
        if latency is None:
            self._no_plot("#samples", f"{device}: the samples were not kept in the run")
            return
        kept = [session.get("samples_ms") or () for session in latency.get("sessions") or ()]
        samples = np.array([ms for session in kept for ms in session], dtype=np.float64)
        part.remove_class("-no-plot")
        plot.clear()
        if len(samples):  # the slowest of a few thousand runs would squeeze all others onto the axis
            highest = float(np.percentile(samples, HIGHEST_PERCENT))
            runs, times = np.arange(1, len(samples) + 1, dtype=np.float64), np.minimum(samples, highest)
            plot.room(runs, times)
            plot.cloud(runs, times, "cyan")
        ends = np.cumsum([len(session) for session in kept])[:-1]
        for end in ends:
            plot.add_v_line(float(end) + 0.5, line_style="grey62")
        latency_ms = float(latency.get("median_ms") or 0.0)
        spread = f"{words.milliseconds(latency.get('p5_ms'))} to {words.milliseconds(latency.get('p95_ms'))} (p5, p95)"
        aside = len(latency.get("set_aside") or ())
        lines = [
            f"{device}: {words.milliseconds(latency_ms)}, {spread}, {latency.get('verdict')}",
            f"ms ↑ run →   {len(samples):,} runs in {len(kept)} sessions (│), {aside} set aside"
            + (f", slowest {words.milliseconds(float(samples.max()))}" if len(samples) else ""),
        ]
        if len(samples) and latency_ms and abs(float(np.median(samples)) / latency_ms - 1) > APART:
            median = words.milliseconds(float(np.median(samples)))
            lines.append(f"the runs' median is {median}: the latency is scaled to the machine's normal speed")
        lines += [f"unstable: {latency['problem']}"] if latency.get("problem") else []
        caption.update("\n".join(lines))

    def _show_curve(self, trial: Trial) -> None:
        history = trial.history
        if len(history) < 3:
            said = ", ".join(f"epoch {epoch}: {accuracy:.4f}" for epoch, accuracy in enumerate(history, 1))
            self._no_plot("#curve", said or ("not trained yet" if not trial.finished else "not trained"))
            return
        part = self.query_one("#curve")
        part.remove_class("-no-plot")
        plot = part.query_one(Plot)
        plot.clear()
        epochs = list(range(1, len(history) + 1))
        plot.room(epochs, history)
        plot.line(epochs, history, "bold cyan")
        plot.marks(epochs, history, "●", "bold cyan")
        part.query_one(Static).update(
            f"accuracy ↑ against epoch →   {len(history)} epochs, last {history[-1]:.4f}, best {max(history):.4f}"
        )

    def _no_plot(self, part: str, said: str) -> None:
        self.query_one(part).add_class("-no-plot")
        self.query_one(part).query_one(Static).update(said)

    def action_step(self, by: int) -> None:
        """Go to the next trial, or the previous one, in the order of the table."""
        if self._number in self._order:
            self._number = self._order[(self._order.index(self._number) + by) % len(self._order)]
            self._shown = None
            self.query_one("#parts").scroll_home(animate=False)
            self._show()

    def action_device(self) -> None:
        self._device_index += 1
        self._show()

    def action_part(self, name: str) -> None:
        self.query_one("#parts", VerticalScroll).scroll_to_widget(self.query_one(f"#{name}"), top=True, animate=False)

    def action_copy(self) -> None:
        self.app.copy_to_clipboard(self.trial.architecture)
        self.notify("the architecture string is on the clipboard, if the terminal allows it")

    def action_export(self) -> None:
        self.app.push_screen(ExportDialog(self._source, self._number))


def _remarks(trial: Trial, device: str) -> str:
    """A latency's verdict if it is not stable, and when it was measured if that was earlier."""
    verdict = trial.verdict.get(device, "stable")
    remarks = [verdict if verdict != "stable" else "", age(trial.stored.get(device), trial.ended)]
    text = "; ".join(remark for remark in remarks if remark)
    return f" ({text})" if text else ""


def facts(trial: Trial, source: RunSource) -> Text:
    """One to three lines on how the trial went."""
    latency = ", ".join(
        f"{device} {mark(trial.verdict.get(device))}{words.milliseconds(ms)}{_remarks(trial, device)}"
        for device, ms in trial.latency_ms.items()
    )
    meets = ""
    if trial.latency_ms and source.overview.state.targets_ms:
        meets = (
            " ✓ meets the target" if source.overview.state.meets_targets(trial.latency_ms) else " ✗ above the target"
        )
    climbed = "".join(f", {words.number(accuracy)} on rung {rung}" for rung, accuracy in trial.rungs.items() if rung)
    took = words.duration(trial.ended - trial.began) if trial.began and trial.ended else "-"
    lines = [
        Text(f"{source.name}  trial {trial.trial}  {words.state(trial.state)}", style="bold"),
        Text(
            f"accuracy {words.number(trial.accuracy)}{climbed}   {latency or 'no latency'}{meets}   "
            f"reward {words.number(trial.reward)}   took {took}   step {trial.step}"
        ),
    ]
    if trial.failure:
        failure = trial.failure
        lines.append(Text(f"✗ {failure['stage']} failed ({failure['kind']}): {failure['reason']}", style="red"))
    return Text("\n").join(lines)


def read_output(source: RunSource, trial: int) -> Text:
    """The end of the output of the trial's child, with its own colours."""
    file = output_file(trial_folder(source.path, trial))
    try:
        with file.open("rb") as output:
            size = output.seek(0, 2)
            output.seek(max(0, size - OUTPUT_BYTES))
            text = output.read().decode(errors="replace")
    except OSError:
        return Text("its child left no output", style="dim")
    return Text.from_ansi(text) if text.strip() else Text("its child wrote nothing", style="dim")
