// A published score against size: each point is a set of weights, the line joins those that no other beats.
"use strict";

const WIDE = { width: 960, height: 540, left: 62, right: 20, top: 34, bottom: 52 };
const NARROW = { width: 400, height: 400, left: 52, right: 12, top: 34, bottom: 48 };
const narrow = matchMedia("(max-width: 760px)");
let frame = WIDE;
// One for each family, drawn around a place: a circle, a square, a triangle, a diamond, a cross.
const MARKS = [
  "m-4.2 0a4.2 4.2 0 1 0 8.4 0a4.2 4.2 0 1 0-8.4 0z",
  "m-4-4h8v8h-8z",
  "m0-5l5 9h-10z",
  "m0-6l5 6l-5 6l-5-6z",
  "m-4-4l8 8m-8 0l8-8",
];
const SIZES = { parameters: "parameters", macs: "MACs a sample" };
const plotted = { size: "parameters", score: "" };

function showPlot(view, changed) {
  frame = narrow.matches ? NARROW : WIDE;
  const list = found();
  const groups = scoreGroups(list);
  const score = groups.has(plotted.score) ? plotted.score : groups.keys().next().value;
  const points = (groups.get(score) ?? []).filter((point) => point[plotted.size] > 0);
  byId("count").textContent = `${points.length.toLocaleString("en")} sets of weights of ${countText(list.length)}`;
  const choices = make("div", { class: "choices" },
    choice("Across", "size", Object.entries(SIZES), plotted.size, changed),
    choice("Up", "score", [...groups].map(([name, all]) => [name, `${name} (${all.length})`]), score, changed));
  if (!points.length) {
    view.replaceChildren(choices, make("p", { class: "empty" }, "No weights of these models have a published score and a known size."));
    return;
  }
  points.sort((one, other) => one[plotted.size] - other[plotted.size] || other.value - one.value);
  const line = unbeaten(points);
  view.replaceChildren(choices, chart(points, line, score), lineTable(line, score));
}

function scoreGroups(list) {
  const groups = new Map();
  for (const model of list)
    for (const weights of usable(model)) {
      weights.point ??= pointOf(model, weights);
      if (!weights.point.group) continue;
      if (!groups.has(weights.point.group)) groups.set(weights.point.group, []);
      groups.get(weights.point.group).push(weights.point);
    }
  return new Map([...groups].sort((one, other) => other[1].length - one[1].length));
}

// Where weights stand; without a group, nowhere.
function pointOf(model, weights) {
  const score = scoreOf(model, weights);
  if (!score || !model.parameters) return {};
  const group = `${metricName(score.metric)} on ${score.dataset || "data that is not stated"}`;
  return { ...score, group, model, tag: weights.tag, parameters: model.parameters, macs: weights.macs ?? model.macs };
}

// Of points by size, those that are better than all smaller ones.
function unbeaten(points) {
  let best = null;
  return points.filter((point) => {
    const isBetter = best === null || (point.maximize ? point.value > best : point.value < best);
    if (isBetter) best = point.value;
    return isBetter;
  });
}

function choice(label, key, entries, chosen, changed) {
  const select = make("select", {}, entries.map(([value, text]) => make("option", { value, selected: value === chosen }, text)));
  select.addEventListener("change", () => {
    plotted[key] = select.value;
    changed();
    document.querySelector(`[data-choice="${key}"]`).focus();
  });
  select.dataset.choice = key;
  return make("label", { class: "field" }, make("span", {}, label), select);
}

// -- the drawing ------------------------------------------------------------------------------

function chart(points, line, title) {
  const scale = scales(points);
  const families = [...new Set(models.map((model) => model.family))].sort();
  for (const point of points) point.at = [scale.x(point[plotted.size]), scale.y(point.value)];
  const path = line.map((point, place) => `${place ? "H" : "M"}${place ? `${point.at[0]}V${point.at[1]}` : point.at}`).join("");
  const ring = draw("circle", { r: 9, class: "ring", visibility: "hidden" });
  const shown = families.filter((family) => points.some((point) => point.model.family === family));
  const places = (family) => points.filter((point) => point.model.family === family).map((point) => point.at);
  const marks = shown.map((family) => mark(families.indexOf(family), places(family)));
  const svg = draw("svg", {
    viewBox: `0 0 ${frame.width} ${frame.height}`, class: "plot", tabindex: "0", role: "application",
    "aria-label": `${title} against ${SIZES[plotted.size]}, ${points.length} points. Left and right go from point to point, up and down along the line of the best, Enter opens the model.`,
  }, axes(scale, title), draw("g", { class: "marks" }, marks), draw("path", { d: path, class: "front" }), ring);
  const told = make("output", { class: "told", "aria-live": "polite" }, "Point at a mark, or press the arrow keys here, to see which model it is.");
  interact(svg, points, line, (point) => {
    ring.setAttribute("visibility", "visible");
    ring.setAttribute("cx", point.at[0]);
    ring.setAttribute("cy", point.at[1]);
    told.replaceChildren(...describe(point));
  });
  const legend = make("ul", { class: "legend" },
    shown.map((family) => make("li", {}, draw("svg", { viewBox: "-7 -7 14 14", "aria-hidden": "true" }, mark(families.indexOf(family), [[0, 0]])), family)),
    make("li", {}, make("i", { class: "stroke", "aria-hidden": "true" }), "no other is smaller and better"));
  return make("figure", {}, svg, told, legend);
}

function describe(point) {
  const name = `${point.model.name}.${point.tag}`;
  return [modelLink(point.model.name, make("b", {}, name)),
    ` ${asMetric(point.value, point.unit)}, ${asCount(point.parameters)} parameters, ${asCount(point.macs)} MACs`];
}

function scales(points) {
  const sizes = points.map((point) => point[plotted.size]);
  const values = points.map((point) => point.value);
  const span = (list, map) => {
    const [low, high] = [Math.min(...list.map(map)), Math.max(...list.map(map))];
    const margin = 0.04 * (high - low) || 0.05 * Math.abs(high) || 0.1;
    return [low - margin, high + margin];
  };
  const [left, right] = span(sizes, Math.log10);
  const [bottom, top] = span(values, Number);
  const inner = [frame.width - frame.left - frame.right, frame.height - frame.top - frame.bottom];
  return {
    left, right, bottom, top, unit: points[0].unit,
    x: (size) => Math.round(10 * (frame.left + (inner[0] * (Math.log10(size) - left)) / (right - left))) / 10,
    y: (value) => Math.round(10 * (frame.top + (inner[1] * (top - value)) / (top - bottom))) / 10,
  };
}

function axes(scale, title) {
  const ground = frame.height - frame.bottom;
  const across = logTicks(scale.left, scale.right).map((size) => [
    draw("line", { x1: scale.x(size), x2: scale.x(size), y1: frame.top, y2: ground, class: "rule" }),
    draw("text", { x: scale.x(size), y: ground + 20, "text-anchor": "middle" }, asCount(size)),
  ]);
  const up = linearTicks(scale.bottom, scale.top).map((value) => [
    draw("line", { x1: frame.left, x2: frame.width - frame.right, y1: scale.y(value), y2: scale.y(value), class: "rule" }),
    draw("text", { x: frame.left - 8, y: scale.y(value) + 5, "text-anchor": "end" }, asMetric(value, scale.unit)),
  ]);
  const names = [
    draw("text", { x: frame.width - frame.right, y: frame.height - 8, "text-anchor": "end", class: "axis" }, SIZES[plotted.size]),
    draw("text", { x: 4, y: 16, class: "axis" }, title),
  ];
  return draw("g", { class: "axes", "aria-hidden": "true" }, across.flat(), up.flat(), names);
}

function logTicks(left, right) {
  const steps = right - left > (narrow.matches ? 2 : 3) ? [1] : right - left > 1.2 ? [1, 3] : [1, 2, 3, 5];
  const ticks = [];
  for (let power = Math.floor(left); power <= right; power += 1)
    for (const step of steps) if (Math.log10(step) + power >= left && Math.log10(step) + power <= right) ticks.push(step * 10 ** power);
  return ticks;
}

function linearTicks(bottom, top) {
  const rough = (top - bottom) / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const ticks = [];
  for (let value = Math.ceil(bottom / step) * step; value <= top; value += step) ticks.push(value);
  return ticks;
}

// All points of a family are one element: a thousand would take too long to make.
function mark(family, places) {
  const kind = family % MARKS.length;
  return draw("path", { d: places.map((at) => `M${at.join(" ")}${MARKS[kind]}`).join(""), class: `mark mark-${kind}` });
}

// -- pointing ---------------------------------------------------------------------------------

function interact(svg, points, line, show) {
  let current = null;
  const take = (point) => {
    current = point;
    show(point);
  };
  const open = () => current && (location.hash = `#/model/${encodeURI(current.model.name)}`);
  svg.addEventListener("pointermove", (event) => {
    const near = nearest(svg, points, event);
    if (near && near !== current) take(near);
  });
  svg.addEventListener("click", (event) => {
    const near = nearest(svg, points, event);
    if (near && (event.pointerType !== "touch" || near === current)) open();
    if (near) take(near);
  });
  svg.addEventListener("keydown", (event) => {
    const list = event.key === "ArrowUp" || event.key === "ArrowDown" ? line : points;
    const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
    if (event.key === "Enter") open();
    if (!step) return;
    event.preventDefault();
    take(list[after(list, current, step)]);
  });
}

// The place of the next point that way, in a list that may not hold the current one.
function after(list, current, step) {
  const last = list.length - 1;
  if (!current) return step > 0 ? 0 : last;
  const place = list.indexOf(current);
  if (place >= 0) return Math.min(last, Math.max(0, place + step));
  const next = list.findIndex((point) => point[plotted.size] > current[plotted.size]);
  return Math.max(0, step > 0 ? (next < 0 ? last : next) : (next < 0 ? last : next - 1));
}

function nearest(svg, points, event) {
  const box = svg.getBoundingClientRect();
  const scale = frame.width / box.width;
  const [x, y] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  let best = null;
  let least = (24 * Math.max(1, scale)) ** 2;
  for (const point of points) {
    const apart = (point.at[0] - x) ** 2 + (point.at[1] - y) ** 2;
    if (apart < least) [best, least] = [point, apart];
  }
  return best;
}

function lineTable(line, title) {
  const rows = line.map((point) => make("tr", {},
    make("th", { scope: "row" }, modelLink(point.model.name, `${point.model.name}.${point.tag}`)),
    number("parameters", asCount(point.parameters)), number("MACs", asCount(point.macs)),
    number(title, asMetric(point.value, point.unit))));
  const head = make("tr", {}, ["Weights", "Parameters", "MACs", title].map((text, place) => make("th", { scope: "col", class: place ? "number" : null }, text)));
  return make("section", {}, make("h2", {}, "On the line"), make("table", { class: "plainly" }, make("thead", {}, head), make("tbody", {}, rows)));
}
