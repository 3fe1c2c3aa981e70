// Which models are shown, and how that is written into the address.
"use strict";

const FIELDS = ["q", "task", "family", "plugin", "license", "min", "max", "fits", "weights"];
const COMMERCIAL = "commercial use";
const models = window.catalogue.models;
const devices = new Map(window.catalogue.devices.map((device) => [device.name, device]));
const tasks = new Map(window.catalogue.tasks.map((task) => [task.name, task]));
const models_by_name = new Map(models.map((model) => [model.name, model]));
const state = { sort: "name", descending: "" };

for (const model of models) {
  const tags = model.weights.map((weights) => `${model.name}.${weights.tag} ${weights.dataset}`);
  const words = [model.name, model.summary, model.family, model.group, ...model.tasks, ...tags];
  model.words = words.join(" ").toLowerCase();
  model.best = bestScore(model);
}

// The published figure to compare a model by: top-1 where there is one, else its task's own metric.
function bestScore(model) {
  let best = null;
  for (const weights of model.weights) {
    const score = scoreOf(model, weights);
    if (score && (!best || (score.maximize ? score.value > best.value : score.value < best.value))) best = score;
  }
  return best;
}

function scoreOf(model, weights) {
  const task = model.tasks.map((name) => tasks.get(name)).find((known) => known && known.metric in weights.metrics);
  const metric = "top1" in weights.metrics ? "top1" : task?.metric;
  if (!metric) return null;
  const { unit, maximize } = metric === "top1" ? { unit: "fraction", maximize: true } : task;
  return { value: weights.metrics[metric], metric, unit, maximize, dataset: weights.dataset };
}

function readState(parameters) {
  for (const name of [...FIELDS, "sort", "descending"]) state[name] = parameters.get(name) ?? "";
  state.sort ||= "name";
  for (const name of FIELDS) {
    const field = byId(name);
    if (field.type === "checkbox") field.checked = Boolean(state[name]);
    else if (field !== document.activeElement || field.value.trim() !== state[name]) field.value = state[name];
  }
}

function stateText() {
  const parameters = new URLSearchParams();
  for (const name of FIELDS) if (state[name]) parameters.set(name, state[name]);
  if (state.sort !== "name" || state.descending) parameters.set("sort", state.sort);
  if (state.descending) parameters.set("descending", state.descending);
  const text = parameters.toString();
  return text && `?${text}`;
}

function found() {
  const words = (state.q ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  const [least, most] = [parseCount(state.min ?? ""), parseCount(state.max ?? "")];
  const device = devices.get(state.fits);
  return models.filter(
    (model) =>
      words.every((word) => model.words.includes(word)) &&
      (!state.task || model.tasks.includes(state.task)) &&
      (!state.family || model.family === state.family) &&
      (!state.plugin || model.plugin === state.plugin) &&
      (!state.license || isLicensed(model)) &&
      (least === null || (model.parameters !== null && model.parameters >= least)) &&
      (most === null || (model.parameters !== null && model.parameters <= most)) &&
      (!device || model.needs[device.needs] <= device.available) &&
      (!state.weights || usable(model).length > 0),
  );
}

// A model without weights by its own licence, one with weights by theirs.
function isLicensed(model) {
  return model.weights.length ? usable(model).length > 0 : allows(model);
}

function usable(model) {
  if (state.license === COMMERCIAL && !model.commercial) return [];
  return state.license ? model.weights.filter(allows) : model.weights;
}

function allows(entry) {
  return state.license === COMMERCIAL ? entry.commercial : entry.license === state.license;
}

// -- the form ---------------------------------------------------------------------------------

function setUpFilters(changed) {
  options("task", "Any", countedBy((model) => model.tasks));
  options("family", "Any", countedBy((model) => [model.family]));
  options("plugin", "Any", countedBy((model) => [model.plugin]));
  const licenses = countedBy((model) => [model.license, ...model.weights.map((weights) => weights.license)]);
  options("license", "Any", [[COMMERCIAL, "Commercial use"], ...licenses]);
  const known = [...devices.values()].filter((device) => device.available);
  options("fits", "Any device", known.map((device) => [device.name, deviceText(device)]));
  for (const name of FIELDS) {
    byId(name).addEventListener("input", () => {
      const field = byId(name);
      state[name] = field.type === "checkbox" ? (field.checked ? "1" : "") : field.value.trim();
      const isWrong = (name === "min" || name === "max") && state[name] && parseCount(state[name]) === null;
      field.setAttribute("aria-invalid", String(Boolean(isWrong)));
      changed();
    });
  }
  byId("clear").addEventListener("click", () => {
    for (const name of FIELDS) state[name] = "";
    readState(new URLSearchParams(stateText()));
    changed();
    byId("q").focus();
  });
  byId("more-filters").addEventListener("click", (event) => {
    const isOpen = byId("filters").classList.toggle("open");
    event.currentTarget.setAttribute("aria-expanded", String(isOpen));
  });
}

function deviceText(device) {
  return `${device.title}, ${shortened(device.available, BYTES)} usable`;
}

function countedBy(values) {
  const counts = new Map();
  for (const model of models)
    for (const value of new Set(values(model))) if (value) counts.set(value, (counts.get(value) ?? 0) + 1);
  const sorted = [...counts].sort((one, other) => other[1] - one[1]);
  return sorted.map(([value, count]) => [value, `${value} (${count.toLocaleString("en")})`]);
}

function options(id, any, entries) {
  const made = [["", any], ...entries].map(([value, text]) => make("option", { value }, text));
  byId(id).replaceChildren(...made);
}
