// Draws the figures, describes what is pointed at, and shows the clicked trial. Text enters the page only as text.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byNumber = new Map(data.trials.map((row) => [row[0], row]));
  const KINDS = { cn: ["conv", "Conv"], ds: ["sep", "SepConv"], dsa: ["sep_act", "SepConv"], ir: ["mbconv", "MBConv"] };
  const SKIPS = { noskip: "no skip", skip: "skip: identity", pool: "skip: pool" };
  const percent = (value) => (value === null ? "-" : (100 * value).toFixed(1) + " %");
  // Three digits: no measurement is more precise.
  const short = (value) => (value === null ? "-" : String(Number(value.toPrecision(3))));
  const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

  // A stage of an architecture string, in words: what mnascli/space/architecture.py writes.
  function stage(text) {
    const [code, ...tokens] = text.split("_");
    const value = (letter) => (tokens.find((token) => new RegExp("^" + letter + "[0-9]").test(token)) || "").slice(letter.length);
    if (!(code in KINDS)) return { kind: code, title: code, notes: tokens };
    const [kind, name] = KINDS[code];
    const word = tokens.find((token) => token in SKIPS);
    const notes = [value("c") + " filters"];
    if (Number(value("r") || 1) > 1) notes.push("×" + value("r"));
    if (value("s") === "2") notes.push("stride 2");
    if (value("se")) notes.push("SE " + value("se"));
    notes.push(SKIPS[word || (code === "cn" ? "noskip" : "skip")]);
    return { kind, title: name + (code === "ir" ? value("e") || 1 : "") + " " + value("k") + "x" + value("k"), notes };
  }

  const stages = (row) => row[2].map((index) => data.stages[index]);
  const drawn = (row) => stages(row).filter((text) => !/_r0(_|$)/.test(text)); // a block of no layers is none

  function hover(number) {
    const row = byNumber.get(number);
    const lines = ["<b>trial " + number + "</b>", "accuracy " + percent(row[3])];
    for (const [device, [ms, p5, p95, verdict]] of Object.entries(row[6]))
      lines.push(plain(device) + " " + short(ms) + " ms (" + short(p5) + " to " + short(p95) + ", " + plain(verdict) + ")");
    if (row[4] !== null) lines.push("reward " + short(row[4]));
    if (row[7]) lines.push(plain(row[7].slice(0, 120)));
    for (const text of drawn(row)) {
      const { title, notes } = stage(text);
      lines.push(plain(title + "  " + notes.join("  ")));
    }
    return lines.join("<br>");
  }

  function element(tag, text, parent, className) {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    if (parent) parent.append(made);
    return made;
  }

  function show(number) {
    const panel = document.getElementById("detail");
    const row = byNumber.get(number);
    if (!panel || !row) return;
    panel.replaceChildren();
    panel.dataset.trial = number;
    element("h3", "Trial " + number + (number === data.winner ? " (found)" : ""), panel);
    const label = element("label", "show trial ", panel);
    const input = element("input", undefined, label);
    Object.assign(input, { type: "number", value: number, min: 0 });
    input.addEventListener("change", () => show(Number(input.value)));
    const list = element("dl", undefined, panel);
    const fact = (name, value) => { element("dt", name, list); element("dd", value, list); };
    fact("state", row[1]);
    fact("accuracy", percent(row[3]));
    for (const [device, [ms, p5, p95, verdict]] of Object.entries(row[6])) fact(device, short(ms) + " ms (" + short(p5) + " to " + short(p95) + "), " + verdict);
    fact("reward", short(row[4]));
    if (row[5].length) fact("by epoch", row[5].map((accuracy) => (100 * accuracy).toFixed(1)).join(", "));
    if (row[7]) fact("failed", row[7]);
    const network = element("div", undefined, panel, "network");
    for (const text of drawn(row)) {
      const { kind, title, notes } = stage(text);
      const box = element("div", undefined, network, "stage");
      box.classList.add(kind.replace(/[^a-z]/g, "") || "other");
      element("b", title, box);
      for (const note of notes) element("span", note, box);
    }
    element("pre", stages(row).join(","), panel);
    element("pre", "mnas train " + data.run + ":" + number, panel);
  }

  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = { gridcolor: colour("--line"), zerolinecolor: colour("--line"), linecolor: colour("--line"), automargin: true };
  const base = {
    font: { color: colour("--ink"), family: "system-ui, sans-serif", size: 12 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 60, r: 20, t: 50, b: 50 }, hovermode: "closest", legend: { orientation: "h", y: 1.02, x: 0, yanchor: "bottom" }, modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("--soft"), activecolor: colour("--accent") },
    hoverlabel: { align: "left", font: { family: "ui-monospace, monospace", size: 11 } },
  };
  for (const [id, figure] of Object.entries(data.figures)) {
    const place = document.getElementById(id);
    if (!place) continue;
    for (const trace of figure.data)
      if (trace.customdata) {
        trace.hovertext = trace.customdata.map(hover);
        trace.hoverinfo = "text";
      }
    const layout = { height: 420, ...base, ...figure.layout, xaxis: { ...axis, ...figure.layout.xaxis }, yaxis: { ...axis, ...figure.layout.yaxis } };
    const config = { responsive: true, displaylogo: false, toImageButtonOptions: { format: "svg", filename: data.run + "-" + id } };
    Plotly.newPlot(place, figure.data, layout, config);
    place.on("plotly_click", (event) => { const at = event.points[0].customdata; if (Number.isInteger(at)) show(at); });
  }
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-trial]");
    if (link && link.tagName === "A") show(Number(link.dataset.trial));
  });
  if (data.trials.length) show(data.winner === null ? data.trials[0][0] : data.winner);
  document.documentElement.dataset.ready = "yes";
})();
