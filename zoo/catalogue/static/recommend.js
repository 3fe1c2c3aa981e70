// Which model to take: the recommender's own answers, looked up for the nearest question that it was asked.
"use strict";

const PICK = { model: 0, tag: 1, score: 2, memory: 3, seconds: 4, reasons: 5, options: 6, tied: 7, baseline: 8 };
const asked = {};

// The answers are read when they are first asked for.
function whenAnswered(view, done) {
  if (window.answers) return done();
  view.replaceChildren(make("p", {}, "Reading the recommender\u2019s answers\u2026"));
  const script = make("script", { src: "answers.js" });
  script.addEventListener("load", done);
  script.addEventListener("error", () => view.replaceChildren(make("p", { class: "empty" }, "answers.js is missing beside this page; build the catalogue again.")));
  document.head.append(script);
}

function showRecommend(view, parameters) {
  byId("count").textContent = "";
  if (!window.catalogue.answered) {
    view.replaceChildren(make("p", { class: "empty" }, "This catalogue was built without recommendations. In a shell: ", make("code", {}, "zoo recommend --data DATA")));
    return;
  }
  whenAnswered(view, () => {
    readQuestion(parameters);
    const result = make("div", { id: "result", role: "region", "aria-label": "Recommendation", "aria-live": "polite" });
    const form = make("form", { class: "question", onsubmit: (event) => event.preventDefault() });
    const refresh = () => {
      history.replaceState(null, "", `#/recommend?${new URLSearchParams(asked)}`);
      answer(result);
    };
    buildForm(form, refresh);
    view.replaceChildren(make("h1", {}, "Which model to take"),
      make("p", { class: "summary" }, "For a task, an amount of data and a device: the best models, what they cost, and how sure that is."),
      make("div", { class: "columns ask" }, form, result));
    answer(result);
  });
}

function readQuestion(parameters) {
  const known = window.answers;
  const task = known.tasks.find((each) => each.name === (parameters.get("task") ?? asked.task)) ?? known.tasks[0];
  const defaults = { samples: known.samples[Math.floor(known.samples.length / 2)], classes: task.classes[0], size: task.inputs.at(-1), device: known.devices.at(-1), limit: "", objective: known.objectives[0] };
  asked.task = task.name;
  for (const [name, value] of Object.entries(defaults)) asked[name] = parameters.get(name) ?? asked[name] ?? String(value);
}

// -- the form ---------------------------------------------------------------------------------

function buildForm(form, refresh) {
  const known = window.answers;
  const task = known.tasks.find((each) => each.name === asked.task);
  const sizes = { image: "Pixels a side", tokens: "Tokens", series: "Time steps" };
  const limits = known.limits.map((limit) => [limit === null ? "" : String(limit), limit === null ? "No limit" : `At most ${asSeconds(limit)}`]);
  const choose = (name) => (event) => {
    asked[name] = event.target.value;
    if (name === "task") {
      delete asked.size;
      delete asked.classes;
      readQuestion(new URLSearchParams());
      buildForm(form, refresh);
      form.querySelector("select").focus();
    }
    refresh();
  };
  form.replaceChildren(...[
    select("Task", known.tasks.map((each) => [each.name, each.name]), asked.task, choose("task")),
    make("p", { class: "hint" }, task.summary),
    figure("Samples", asked.samples, choose("samples")),
    task.classes[0] > 0 && figure("Classes", asked.classes, choose("classes")),
    figure(sizes[task.input], asked.size, choose("size")),
    select("Device", [...devices.values()].map((device) => [device.name, device.title]), asked.device, choose("device")),
    select("Time to train", limits, asked.limit, choose("limit")),
    select("Above all", known.objectives.map((name) => [name, name]), asked.objective, choose("objective")),
    gridText(known),
  ].filter(Boolean));
}

function select(label, entries, chosen, changed) {
  const made = make("select", {}, entries.map(([value, text]) => make("option", { value, selected: value === chosen }, text)));
  made.addEventListener("change", changed);
  return make("label", { class: "field" }, make("span", {}, label), made);
}

function figure(label, value, changed) {
  return make("label", { class: "field" }, make("span", {}, label), make("input", { value, inputmode: "text", autocomplete: "off", oninput: changed }));
}

function gridText(known) {
  const rows = known.tasks.map((task) => make("li", {}, `${task.name}: ${inputText(task, task.inputs.join(" or "))}${task.classes[0] ? `, ${task.classes.join(" or ")} classes` : ""}`));
  return make("details", {}, make("summary", {}, "What this page holds"),
    make("p", {}, `Answers for ${known.samples.map((count) => count.toLocaleString("en")).join(", ")} samples on ${known.devices.join(", ")}, computed by zoo recommend when the page was made; images have 3 channels, series 1. What you ask is looked up at the nearest of these.`),
    make("ul", {}, rows));
}

function inputText(task, size) {
  return { image: `${size} pixels a side`, tokens: `${size} tokens`, series: `${size} time steps` }[task.input];
}

// -- the answer -------------------------------------------------------------------------------

function answer(result) {
  const known = window.answers;
  const task = known.tasks.find((each) => each.name === asked.task);
  const figures = { samples: parseCount(asked.samples), size: parseCount(asked.size), classes: task.classes[0] ? parseCount(asked.classes) : 0 };
  const wrong = Object.entries(figures).find(([name, value]) => value === null || (value < 1 && !(name === "classes" && !task.classes[0])));
  if (wrong) {
    result.replaceChildren(make("p", { class: "empty" }, `\u201c${asked[wrong[0]]}\u201d is no number of ${wrong[0] === "size" ? inputText(task, "").trim() : wrong[0]}; write one such as 5000 or 5k.`));
    return;
  }
  const at = { size: near(task.inputs, figures.size), classes: near(task.classes, figures.classes), samples: near(known.samples, figures.samples) };
  at.device = known.nearest[asked.device] ?? 0;
  const objective = Math.max(0, known.objectives.indexOf(asked.objective));
  const place = (((at.size * task.classes.length + at.classes) * known.samples.length + at.samples) * known.devices.length + at.device) * known.objectives.length + objective;
  const found = known.answers[task.name][place];
  const limit = Math.max(0, known.limits.map((each) => (each === null ? "" : String(each))).indexOf(asked.limit));
  const picks = found.within[limit].map((number) => found.picks[number]);
  const notes = found.notes.map((number) => make("li", {}, known.texts[number]));
  result.replaceChildren(...[
    where(task, at, figures),
    picks.length ? make("ol", { class: "picks" }, picks.map((pick, place) => pickCard(pick, task, place))) : make("p", { class: "empty" }, "No model is sure to be trained in that time. Allow more, or take another device."),
    notes.length && make("ul", { class: "hint" }, notes),
  ].filter(Boolean));
}

// The place of the value that is fewest times larger or smaller.
function near(values, wanted) {
  const apart = values.map((value) => Math.abs(Math.log((value || 1) / (wanted || 1))));
  return apart.indexOf(Math.min(...apart));
}

function where(task, at, figures) {
  const known = window.answers;
  const classes = task.classes[at.classes];
  const said = [`${known.samples[at.samples].toLocaleString("en")} samples`, classes && `${classes} classes`, inputText(task, task.inputs[at.size]), devices.get(known.devices[at.device]).title];
  const isExact = known.samples[at.samples] === figures.samples && task.inputs[at.size] === figures.size && classes === figures.classes && known.devices[at.device] === asked.device;
  return make("div", { class: "where" },
    make("p", {}, "Computed for ", make("b", {}, said.filter(Boolean).join(", ")), isExact ? "." : ", the nearest that this page holds."),
    make("p", { class: "hint" }, isExact ? "The same in a shell:" : "For exactly what you ask:"),
    copyable(exactCommand(task, figures), "the command for this question"));
}

function exactCommand(task, figures) {
  const size = { image: `3x${figures.size}x${figures.size}`, tokens: figures.size, series: `${figures.size}x1` }[task.input];
  const limit = asked.limit && ` --time-budget ${asked.limit}s`;
  const ends = task.classes[0] ? ` --classes ${figures.classes}` : task.horizon ? ` --horizon ${task.horizon}` : "";
  const objective = asked.objective === "balanced" ? "" : ` --objective ${asked.objective}`;
  return `zoo recommend --task ${task.name} --samples ${figures.samples} --input ${size}${ends} --device ${asked.device}${limit}${objective}`;
}

function pickCard(pick, task, place) {
  const known = window.answers;
  const [model, tag] = [known.texts[pick[PICK.model]], pick[PICK.tag] === null ? null : known.texts[pick[PICK.tag]]];
  const name = tag ? `${model}.${tag}` : model;
  const options = pick[PICK.options] === null ? "" : ` ${known.texts[pick[PICK.options]]}`;
  const words = [tag ? "fine-tuned" : "from scratch", pick[PICK.baseline] && "baseline", place > 0 && pick[PICK.tied] && "cannot be told from the best"];
  return make("li", {},
    make("h2", {}, modelLink(model, name)),
    make("p", { class: "chips" }, words.filter(Boolean).map((word) => make("span", { class: "badge" }, word))),
    make("dl", { class: "estimates" },
      estimate(metricName(task.metric), pick[PICK.score], (value) => asMetric(value, task.unit), task.unit),
      estimate("memory", pick[PICK.memory], asBytes),
      estimate("time", pick[PICK.seconds], asSeconds)),
    make("ul", { class: "reasons" }, pick[PICK.reasons].map((number) => make("li", {}, known.texts[number]))),
    copyable(`zoo train ${name} --data DATA${options}`, `the command to train ${name}`));
}

// A value with its 80% interval, which for a share is drawn too.
function estimate(label, interval, write, unit) {
  if (!interval) return make("div", {}, make("dt", {}, label), make("dd", {}, "not known"));
  const [value, low, high] = interval;
  const bar = unit === "fraction" && draw("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", class: "interval", "aria-hidden": "true" },
    draw("rect", { x: 0, y: 3, width: 100, height: 2, class: "rail" }),
    draw("rect", { x: 100 * low, y: 1.5, width: Math.max(1, 100 * (high - low)), height: 5, class: "span" }),
    draw("rect", { x: 100 * value - 0.6, y: 0, width: 1.2, height: 8, class: "point" }));
  return make("div", {}, make("dt", {}, label), make("dd", {}, make("b", {}, write(value)), make("small", {}, `80%: ${write(low)} to ${write(high)}`), bar || ""));
}
