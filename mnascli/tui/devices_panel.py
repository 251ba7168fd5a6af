"""One box per device: state, conditions, queue, last latencies, drift, retries, and why it waits."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from mnascli.runs import DeviceView, Event, RunState
from mnascli.tui import device_files, words
from mnascli.tui.panel import Panel
from mnascli.tui.source import RunSource


class DevicesPanel(Panel):
    DEFAULT_CSS = """
    DevicesPanel VerticalScroll { height: 1fr; }
    DevicesPanel .device { height: auto; border: round $secondary; padding: 0 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._files: dict[str, tuple[int, device_files.Measurement | None]] = {}

    def compose(self) -> ComposeResult:
        yield VerticalScroll(Static("no device has measured yet", id="none"))

    def draw(self, source: RunSource) -> None:
        scroll = self.query_one(VerticalScroll)
        views = list(source.overview.devices.values())
        boxes = list(scroll.query(".device").results(Static))
        self.query_one("#none").display = not views
        for _ in views[len(boxes) :]:
            box = Static(classes="device", markup=False)
            boxes.append(box)
            scroll.mount(box)
        for view, box in zip(views, boxes, strict=False):
            box.border_title = view.name
            box.update(device_text(view, source, self._file(view, source), max(10, self.size.width - 6)))

    def _file(self, view: DeviceView, source: RunSource) -> device_files.Measurement | None:
        """The last measurement of a device, read once."""
        if view.last_trial is None:
            return None
        known = self._files.get(view.name)
        if known is None or known[0] != view.last_trial:
            self._files[view.name] = (
                view.last_trial,
                device_files.read_latency(source.path, view.last_trial, view.name),
            )
        return self._files[view.name][1]


def device_text(view: DeviceView, source: RunSource, latency: device_files.Measurement | None, width: int) -> Text:
    lines = [state(view, source), *members(view, source.overview.state)]
    counts = f"queue {source.overview.waiting(view.name)}   measured {view.measured}   unstable {view.unstable}"
    lines.append(f"{counts}   from the store {view.stored}" if view.stored else counts)
    target = source.overview.state.targets_ms.get(view.name)
    if view.latencies_ms:
        last = f"last {words.milliseconds(view.latencies_ms[-1])}"
        goal = f" (target {words.milliseconds(target)})" if target else ""
        lines.append(f"{last}{goal}  {words.sparkline(view.latencies_ms, max(5, width - len(last + goal) - 2))}")
    if latency is not None:
        lines += measurement(latency, view.drift)
    text = Text("\n".join(lines))
    text.highlight_regex(r"(?m)^(✗|!|unstable:).*$", "bold red")
    return text


def state(view: DeviceView, source: RunSource) -> str:
    """What the device does, and why it waits."""
    run = source.overview.state
    if view.name in run.paused:
        return f"! paused: {run.paused[view.name]}"
    if view.notice is not None:
        return f"! {notice(view.notice)} (at {words.clock(view.notice['time'])})"
    if run.is_finished:
        return "✓ the run is finished"
    if run.stopped:
        return "✗ the search has stopped"
    if source.is_written() is False:
        return "· no search is writing this run"
    if run.phase != "search":
        return f"· {run.phase}"
    return "▶ measuring" if source.overview.waiting(view.name) else "· batch measured, waiting for its trainings"


def members(view: DeviceView, run: RunState) -> list[str]:
    """A line for each device behind the name, if there are several or something is wrong."""
    found = [device for device in run.devices.values() if device.device == view.name]
    if len(found) < 2 and all(device.state == "ready" for device in found):
        return []
    signs = {"ready": "✓", "lost": "✗", "set aside": "✗"}
    return [
        f"{signs.get(one.state, '?')} {one.name} ({one.serial}) {one.state}{': ' * bool(one.reason)}{one.reason}, "
        f"measured {one.measured}"
        for one in found
    ]


def notice(event: Event) -> str:
    """A device's event in words; one of a kind unknown to this version, by its name and values."""
    said = [
        f"{value}" if key in ("reason", "why", "problem", "state") else f"{key} {value}"
        for key, value in event.items()
        if key not in ("v", "time", "event", "device") and isinstance(value, str | int | float)
    ]
    return f"{event['event'].replace('_', ' ')}: {', '.join(said)}" if said else event["event"].replace("_", " ")


def measurement(latency: device_files.Measurement, drift: float | None) -> list[str]:
    """The last measurement's conditions and how well it went."""
    seen = list(device_files.conditions(latency))

    def of(name: str) -> list[float]:
        return [one[name] for one in seen if isinstance(one.get(name), int | float)]

    reference = latency.get("reference_ms")
    kept, aside = len(latency.get("sessions") or ()), len(latency.get("set_aside") or ())
    lines = [
        f"temperature {device_files.span(of('temperature_c'), '°C')}   "
        f"frequency {device_files.span(of('frequency_mhz'), 'MHz')}   load {device_files.span(of('load'), '', 1)}",
        f"reference {words.milliseconds(reference)}, drift {'-' if drift is None else f'{drift:+.1%}'}   "
        f"sessions {kept} kept, {aside} set aside (retries and outliers)",
    ]
    if latency.get("problem"):
        lines.append(f"unstable: {latency['problem']}")
    return lines
