// One model: what is known of it, how it is trained, its weights, and the commands to copy.
"use strict";

function showModel(view, name) {
  const model = models_by_name.get(name);
  if (!model) {
    byId("count").textContent = "";
    view.replaceChildren(make("p", { class: "empty" }, `No model named \u201c${name}\u201d is in this catalogue. `, make("a", { href: "#/" }, "See all models.")));
    return;
  }
  document.title = `${name} \u2013 model catalogue`;
  byId("count").textContent = "";
  view.replaceChildren(make("article", { class: "model" },
    make("p", { class: "crumbs" }, make("a", { href: `#/${stateText()}` }, "\u2190 All models")),
    make("h1", { tabindex: "-1" }, model.name),
    model.summary && make("p", { class: "summary" }, model.summary),
    make("div", { class: "columns" },
      make("div", {}, facts(model), weightsSection(model)),
      make("div", {}, commands(model), recipes(model), related(model)))));
}

function section(title, ...content) {
  return make("section", {}, make("h2", {}, title), ...content);
}

// -- facts ------------------------------------------------------------------------------------

function facts(model) {
  const kept = Object.entries(model.facts?.activation_bytes ?? {}).map(([precision, size]) => `${asBytes(size)} in ${precision}`);
  const known = [
    ["Tasks", model.tasks.join(", ")],
    ["Family", model.group ? `${model.family}, of the group ${model.group}` : model.family],
    ["Parameters", model.parameters === null ? "not known" : model.parameters.toLocaleString("en")],
    ["MACs", model.macs === null ? "not known" : `${model.macs.toLocaleString("en")} a sample`],
    ["Activations", kept.length ? `${kept.join(", ")}, kept a sample for the backward pass` : ""],
    ["Facts hold at", model.reference ? problemText(model.reference) : ""],
    ["Licence", [model.license || "not stated", badge(model)]],
    ["Paper", paper(model.paper)],
    ["Plugin", `${model.plugin}, from ${model.distribution}`],
  ];
  const lines = known.filter(([, value]) => value).map(([label, value]) => [make("dt", {}, label), make("dd", {}, ...[value].flat())]);
  return section("Facts", make("dl", { class: "facts" }, lines.flat()));
}

function badge(entry) {
  return entry.commercial ? make("span", { class: "badge good" }, "commercial use") : make("span", { class: "badge" }, "check before commercial use");
}

// Only what is plainly a web address becomes a link.
function paper(text) {
  return /^https?:\/\/[^\s]+$/.test(text) ? make("a", { href: text, rel: "noreferrer" }, text) : text;
}

function problemText({ task, input, output }) {
  const sizes = { image: () => `${input.channels}\u00d7${input.height}\u00d7${input.width} images`, tokens: () => `${input.length} tokens of ${input.vocab_size}`, series: () => `series of ${input.length} steps, ${input.channels} channels` };
  const ends = { classes: () => `${output.count} classes`, tokens: () => `${output.length} tokens`, series: () => `${output.length} steps` };
  return `${task}: ${sizes[input.kind]?.() ?? input.kind} to ${ends[output.kind]?.() ?? output.kind}`;
}

// -- weights ----------------------------------------------------------------------------------

function weightsSection(model) {
  if (!model.weights.length) return section("Weights", make("p", {}, "None: this model is trained from scratch."));
  return section(`Weights (${model.weights.length})`, model.weights.map((weights) => weightsCard(model, weights)));
}

function weightsCard(model, weights) {
  const metrics = Object.entries(weights.metrics).map(([name, value]) => `${metricName(name)} ${metricText(model, name, value)}`);
  const known = [
    ["Metrics", metrics.join(", ")],
    ["Other seeds", otherSeeds(model, weights)],
    ["Data", weights.dataset],
    ["Input", weights.image ? `${weights.image.replaceAll("x", "\u00d7")}, ${asCount(weights.macs)} MACs` : ""],
    ["Licence", [weights.license || "not stated", badge(weights)]],
    ["Data licence", weights.data_license],
    ["Size", weights.bytes ? asBytes(weights.bytes) : ""],
    ["Labels", weights.classes ? `${weights.classes} named classes` : ""],
    ["SHA-256", weights.sha256 && make("code", {}, weights.sha256)],
    ["Source", (weights.sources ?? []).map((source) => make("code", {}, source))],
  ];
  const lines = known.filter(([, value]) => value && value.length !== 0).map(([label, value]) => [make("dt", {}, label), make("dd", {}, ...[value].flat())]);
  return make("details", { class: "weights", open: model.weights.length <= 3 },
    make("summary", {}, make("b", {}, weights.tag), make("span", {}, metrics[0] ?? "", weights.dataset && ` on ${weights.dataset}`)),
    make("dl", { class: "facts" }, lines.flat()));
}

function metricText(model, name, value) {
  const task = model.tasks.map((each) => tasks.get(each)).find((known) => known?.metric === name);
  return asMetric(value, name === "top1" || task?.unit === "fraction" ? "fraction" : "number");
}

function otherSeeds(model, weights) {
  const metric = scoreOf(model, weights)?.metric;
  const reached = (weights.repeats ?? []).filter((repeat) => metric in repeat).map((repeat) => metricText(model, metric, repeat[metric]));
  return reached.length > 1 ? `${metricName(metric)} ${reached.join(", ")}` : "";
}

// -- commands and recipe ----------------------------------------------------------------------

function commands(model) {
  const place = make("div", { class: "commands" });
  const show = (name) => place.replaceChildren(...commandList(model, name));
  const tagged = model.weights.map((weights) => `${model.name}.${weights.tag}`);
  show(tagged[0] ?? model.name);
  if (!tagged.length) return section("Use it", place);
  const select = make("select", {}, [...tagged, model.name].map((name) => make("option", { value: name }, name === model.name ? "from scratch" : name.slice(model.name.length + 1))));
  select.addEventListener("change", () => show(select.value));
  return section("Use it", make("label", { class: "field" }, make("span", {}, "Start from"), select), place);
}

function commandList(model, name) {
  const isTrained = name !== model.name;
  const known = [
    ["all that is known", `zoo info ${name}`],
    [isTrained ? "fine-tune it" : "train it", `zoo train ${name} --data DATA`],
    isTrained && ["ask it", `zoo predict ${name} ${model.tasks[0]?.startsWith("image") ? "IMAGE" : "INPUT"}`],
    ["load it in Python", `import zoo\n\nmodel = zoo.load("${name}")`],
  ];
  return known.filter(Boolean).map(([label, text]) => make("div", {}, make("p", { class: "hint" }, label), copyable(text, `the command to ${label}`)));
}

function recipes(model) {
  const texts = new Map();
  for (const [task, place] of Object.entries(model.recipes)) texts.set(place, [...(texts.get(place) ?? []), task]);
  const parts = [...texts].map(([place, names]) => [
    texts.size > 1 && make("h3", {}, names.join(", ")),
    copyable(window.catalogue.recipes[place].trimEnd(), "the recipe"),
  ].filter(Boolean));
  return section("Recipe", make("p", { class: "hint" }, "What differs from the defaults, as TOML; with a line on each setting: ", make("code", {}, `zoo recipe show ${model.name} --full`)), ...parts.flat());
}

function related(model) {
  const others = model.group ? models.filter((other) => other !== model && other.group === model.group && other.plugin === model.plugin) : [];
  if (!others.length) return null;
  const items = others.map((other) => make("li", {}, modelLink(other.name), ` ${asCount(other.parameters)}`));
  return section(`More of ${model.group}`, make("ul", { class: "related" }, items));
}
