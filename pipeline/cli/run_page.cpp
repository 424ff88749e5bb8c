#include "run_page.h"

namespace graft::cli {

const char* const kRunPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'";

const char* const kRunPage = R"(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>graft run</title>
<link rel="stylesheet" href="live.css">
<script src="live.js" defer></script>
</head>
<body>
<header><h1 id="name">graft run</h1><p id="phase" role="status">connecting</p></header>
<main>
<progress id="progress" max="1" aria-label="inputs that are done"></progress>
<dl class="tiles">
<div><dt>inputs</dt><dd id="done">-</dd></div>
<div><dt>per second</dt><dd id="rate">-</dd></div>
<div><dt>rejected</dt><dd id="rejected">-</dd></div>
<div><dt>time</dt><dd id="time">-</dd></div>
<div><dt>left</dt><dd id="left">-</dd></div>
<div><dt>memory</dt><dd id="memory">-</dd></div>
</dl>
<section aria-labelledby="h-rate"><h2 id="h-rate">Inputs per second, by seconds</h2><div id="history"></div></section>
<section aria-labelledby="h-stages"><h2 id="h-stages">Stages</h2>
<div class="scroll"><table><thead><tr><th scope="col">stage</th><th scope="col" class="t">plugin</th><th scope="col">per second</th>
<th scope="col">queued</th><th scope="col">running</th><th scope="col">finished</th><th scope="col">rejected</th>
<th scope="col" class="t">part of the work</th></tr></thead><tbody id="stages"></tbody></table></div></section>
<section id="learning" aria-labelledby="h-learning" hidden><h2 id="h-learning">Learners</h2><div id="curves" class="figures"></div></section>
<section id="warned" aria-labelledby="h-warned" hidden><h2 id="h-warned">Warnings</h2><ul id="warnings"></ul></section>
<pre id="text" hidden></pre>
</main>
</body>
</html>
)";

const char* const kRunStyle = R"(:root {
  --paper: #ffffff; --ink: #1b1f24; --soft: #57606a; --rule: #d0d7de; --tint: #f3f5f8; --accent: #0550ae; --bad: #b3261e;
  --c0: #0072b2; --c1: #b35900; --c2: #00795c; --c3: #a8326e; --c4: #7a6a00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14181d; --ink: #e6eaef; --soft: #a3adb8; --rule: #38414b; --tint: #1e252c; --accent: #79b8ff; --bad: #ff8a80;
    --c0: #58aee6; --c1: #f0a050; --c2: #41c9a2; --c3: #ec85b8; --c4: #d9c64a;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, "DejaVu Sans", sans-serif; }
header, main { max-width: 64rem; margin: 0 auto; padding: 0 1rem; }
h1 { margin: 1.2rem 0 0; font-size: 1.8rem; overflow-wrap: anywhere; }
h2 { margin: 2rem 0 .5rem; padding-top: .6rem; border-top: 1px solid var(--rule); font-size: 1.2rem; }
h3 { margin: .4rem 0; font-size: 1rem; overflow-wrap: anywhere; }
#phase { margin: .2rem 0 1rem; color: var(--soft); overflow-wrap: anywhere; }
#phase.failed, #phase.lost { color: var(--bad); }
progress { width: 100%; height: .8rem; accent-color: var(--accent); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .8rem; margin: 1rem 0; }
.tiles div { padding: .5rem .8rem; background: var(--tint); border-radius: 6px; }
dt { color: var(--soft); font-size: .85rem; } dd { margin: 0; font-size: 1.25rem; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
small { display: block; color: var(--soft); font-size: .8rem; }
.scroll { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; min-width: 100%; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--rule); text-align: right; white-space: nowrap; }
th:first-child, td:first-child, .t { text-align: left; }
tr.busiest td:first-child { font-weight: 700; }
meter { width: 7rem; vertical-align: middle; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 1rem 2rem; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--soft); font: 11px system-ui, "DejaVu Sans", sans-serif; }
svg .end { text-anchor: end; }
svg .axis { stroke: var(--rule); } svg polyline { fill: none; stroke: currentColor; stroke-width: 2; }
.c0 { color: var(--c0); } .c1 { color: var(--c1); } .c2 { color: var(--c2); } .c3 { color: var(--c3); } .c4 { color: var(--c4); }
.key { margin-right: 1rem; } .key b { font-weight: 700; }
pre { overflow-x: auto; padding: .8rem; background: var(--tint); font-size: .82rem; white-space: pre-wrap; overflow-wrap: anywhere; }
li { overflow-wrap: anywhere; }
)";

const char* const kRunScript = R"JS("use strict";
const page = String(Math.floor(Math.random() * 1e12));
const byId = id => document.getElementById(id);
const number = value => value.toLocaleString("en", {maximumFractionDigits: value < 10 ? 2 : value < 100 ? 1 : 0});
const history = [];
let before = null;

function make(parent, tag, text, type) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (type) node.className = type;
  parent.append(node);
  return node;
}

function draw(parent, tag, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
}

function duration(seconds) {
  if (seconds < 60) return number(seconds < 1 ? Math.round(seconds * 10) / 10 : Math.round(seconds)) + " s";
  const s = Math.round(seconds), two = n => String(n).padStart(2, "0");
  return s < 3600 ? Math.floor(s / 60) + ":" + two(s % 60)
    : Math.floor(s / 3600) + ":" + two(Math.floor(s / 60) % 60) + ":" + two(s % 60);
}

function bytes(size) {
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (size < 1024 || unit === "GiB") return number(size) + " " + unit;
    size /= 1024;
  }
}

/* Lines over a common x axis; series: {name, points: [[x, y], ...]}. */
function chart(title, series, fromZero, width = 380) {
  const height = 150, left = 46, right = 8, top = 8, bottom = 20;
  const svg = draw(document.createDocumentFragment(), "svg",
    {viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title});
  const all = series.flatMap(s => s.points);
  const range = (values, least) => {
    let low = Math.min(...values), high = Math.max(...values);
    if (fromZero && least) low = 0;
    return low < high ? [low, high] : [low - 0.5, high + 0.5];
  };
  const [x0, x1] = range(all.map(p => p[0])), [y0, y1] = range(all.map(p => p[1]), true);
  const x = v => left + (v - x0) / (x1 - x0) * (width - left - right);
  const y = v => height - bottom - (v - y0) / (y1 - y0) * (height - top - bottom);
  draw(svg, "path", {class: "axis", d: `M${left} ${top}V${height - bottom}H${width - right}`, fill: "none"});
  for (const v of [y0, y1]) draw(svg, "text", {class: "end", x: left - 5, y: y(v) + 4}, Number(v.toPrecision(3)));
  draw(svg, "text", {x: left, y: height - 5}, number(x0));
  draw(svg, "text", {class: "end", x: width - right, y: height - 5}, number(x1));
  series.forEach((s, i) => draw(svg, "polyline",
    {class: "c" + i % 5, points: s.points.map(p => x(p[0]).toFixed(1) + "," + y(p[1]).toFixed(1)).join(" ")}));
  return svg;
}

function showStages(now, seconds) {
  const rows = now.stages.filter(stage => stage.streamed);
  const busy = rows.reduce((sum, stage) => sum + stage.busy_seconds, 0);
  const most = Math.max(...rows.map(stage => stage.busy_seconds));
  const body = byId("stages");
  body.replaceChildren();
  for (const stage of rows) {
    const row = make(body, "tr", undefined, busy > 0 && stage.busy_seconds === most ? "busiest" : "");
    make(row, "td", stage.id);
    make(row, "td", stage.plugin, "t");
    const earlier = before && before.stages.find(s => s.id === stage.id);
    make(row, "td", earlier && seconds > 0 ? number((stage.finished - earlier.finished) / seconds) : "");
    for (const name of ["queued", "running", "finished", "rejected"]) make(row, "td", number(stage[name]));
    const part = busy > 0 ? stage.busy_seconds / busy : 0;
    const cell = make(row, "td", undefined, "t");
    const meter = make(cell, "meter");
    meter.value = part;
    meter.setAttribute("aria-label", "part of the work of " + stage.id);
    cell.append(" " + Math.round(100 * part) + " %");
  }
}

function showCurves(now) {
  byId("learning").hidden = now.curves.length === 0;
  const place = byId("curves");
  place.replaceChildren();
  for (const curve of now.curves) {
    const names = [...new Set(curve.points.flatMap(Object.keys))].filter(name => name !== "step");
    for (const loss of [true, false]) {
      const series = names.filter(name => name.includes("loss") === loss).slice(0, 5)
        .map(name => ({name, points: curve.points.filter(p => typeof p[name] === "number").map(p => [p.step, p[name]])}))
        .filter(s => s.points.length > 0);
      if (series.length === 0) continue;
      const figure = make(place, "div");
      make(figure, "h3", curve.learner + ": " + curve.what + " " + curve.done + (curve.total ? " of " + curve.total : ""));
      figure.append(chart(curve.learner + " by " + curve.what, series));
      const legend = make(figure, "div");
      series.forEach((s, i) => {
        const key = make(legend, "span", undefined, "key");
        make(key, "b", "\u2014 ", "c" + i % 5);
        key.append(s.name.replaceAll("_", " ") + " " + Number(s.points.at(-1)[1].toPrecision(4)));
      });
    }
  }
}

function show(now) {
  document.title = now.name + ": " + now.phase;
  byId("name").textContent = now.name;
  byId("phase").textContent = now.phase;
  byId("phase").className = now.state;
  const {total, done, reused, rejected} = now.inputs;
  const progress = byId("progress");
  if (total > 0) progress.value = Math.min(1, done / total); else progress.removeAttribute("value");
  byId("done").textContent = number(done) + (total > 0 ? " of " + number(total) : "");
  if (reused > 0) make(byId("done"), "small", number(reused) + " reused");
  byId("rejected").textContent = number(rejected);
  byId("time").textContent = duration(now.seconds);
  byId("left").textContent = now.seconds_left === null ? "-" : duration(now.seconds_left);
  byId("memory").textContent = now.memory > 0 ? bytes(now.memory) : "-";
  const seconds = before ? now.seconds - before.seconds : 0;
  if (before && seconds > 0) {
    const rate = Math.max(0, (done - reused - before.inputs.done + before.inputs.reused) / seconds);
    byId("rate").textContent = number(rate);
    history.push([now.seconds, rate]);
    if (history.length > 300) history.shift();
    byId("history").replaceChildren(chart("inputs per second", [{name: "rate", points: history}], true,
      Math.max(320, byId("history").clientWidth)));
  }
  showStages(now, seconds);
  showCurves(now);
  byId("warned").hidden = now.warnings.length === 0;
  byId("warnings").replaceChildren(...now.warnings.map(text => {
    const item = document.createElement("li");
    item.textContent = text;
    return item;
  }));
  byId("text").hidden = now.text === "";
  byId("text").textContent = now.text;
  before = now;
}

let misses = 0;
async function look() {
  try {
    const now = await (await fetch("status.json?page=" + page)).json();
    misses = 0;
    show(now);
    if (now.state !== "running") {
      if (now.report) location.replace("report.html?page=" + page);
      return;
    }
  } catch (error) {
    if (++misses > 3) {
      byId("phase").textContent = "the run no longer answers";
      byId("phase").className = "lost";
      return;
    }
  }
  setTimeout(look, 1000);
}
look();
)JS";

}  // namespace graft::cli
