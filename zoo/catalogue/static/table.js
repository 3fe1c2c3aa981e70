// The models as a table, of which so many rows are made as have been scrolled to.
"use strict";

const FIRST = 14; // rows that a window shows at once, so that an answer is there soon
const CHUNK = 24;
let watcher = null; // of the end of the table
const COLUMNS = [
  { key: "name", title: "Model", value: (model) => model.name },
  { key: "task", title: "Task", value: (model) => model.tasks[0] },
  { key: "parameters", title: "Parameters", value: (model) => model.parameters, most: true },
  { key: "macs", title: "MACs", value: (model) => model.macs, most: true },
  { key: "score", title: "Best score", value: (model) => comparable(model.best), most: true },
  { key: "weights", title: "Weights", value: (model) => usable(model).length, most: true },
  { key: "license", title: "Licence", value: (model) => model.license.toLowerCase() },
];

// Only shares can stand in one order; other metrics come last.
function comparable(score) {
  return score && score.unit === "fraction" ? score.value : null;
}

function sorted(list) {
  const column = COLUMNS.find((each) => each.key === state.sort) ?? COLUMNS[0];
  const sign = state.descending ? -1 : 1;
  const keyed = list.map((model) => [column.value(model), model]);
  keyed.sort(([one, first], [other, second]) => {
    if (one === null || other === null) return (one === null) - (other === null);
    if (one !== other) return one < other ? -sign : sign;
    return first.name < second.name ? -1 : 1;
  });
  return keyed.map(([, model]) => model);
}

function showTable(view, changed) {
  const list = sorted(found());
  byId("count").textContent = countText(list.length);
  if (!list.length) {
    view.replaceChildren(make("p", { class: "empty" }, "No model is like that. Take a filter away, or clear them all."));
    return;
  }
  const body = make("tbody");
  const more = make("button", { type: "button", class: "plain wide" }, "Show more");
  const table = make("table", { class: "models" }, make("thead", {}, make("tr", {}, COLUMNS.map((each) => heading(each, changed)))), body);
  const grow = () => {
    const from = body.childElementCount;
    body.append(...list.slice(from, from + (from ? CHUNK : FIRST)).map(row));
    more.hidden = body.childElementCount >= list.length;
  };
  grow();
  more.addEventListener("click", () => {
    const next = body.childElementCount;
    grow();
    body.children[next].querySelector("a").focus();
  });
  view.replaceChildren(sortChoice(changed), table, more);
  watcher?.disconnect();
  watcher = new IntersectionObserver((seen, own) => {
    if (!seen.at(-1).isIntersecting || more.hidden) return;
    grow();
    own.unobserve(more); // observed anew, it is told of again if it has not left the window
    own.observe(more);
  }, { rootMargin: "600px" });
  watcher.observe(more);
}

function countText(count) {
  const all = models.length.toLocaleString("en");
  return count === models.length ? `${all} models` : `${count.toLocaleString("en")} of ${all} models`;
}

function sortBy(column, changed) {
  const isSame = state.sort === column.key;
  state.descending = (isSame ? !state.descending : column.key === "score" || column.key === "weights") ? "1" : "";
  state.sort = column.key;
  changed();
}

function heading(column, changed) {
  const isSorted = state.sort === column.key;
  const order = isSorted ? (state.descending ? "descending" : "ascending") : null;
  const press = () => {
    sortBy(column, changed);
    document.querySelector(`[data-sort="${column.key}"]`)?.focus();
  };
  const arrow = make("span", { "aria-hidden": "true", class: "arrow" }, isSorted ? (state.descending ? "\u2193" : "\u2191") : "");
  const button = make("button", { type: "button", "data-sort": column.key, onclick: press }, column.title, arrow);
  return make("th", { scope: "col", "aria-sort": order, class: column.most ? "number" : null }, button);
}

// On narrow screens, where the table has no head.
function sortChoice(changed) {
  const select = make("select", {}, COLUMNS.map((each) => make("option", { value: each.key, selected: each.key === state.sort }, each.title)));
  select.addEventListener("change", () => sortBy(COLUMNS.find((each) => each.key === select.value), changed));
  return make("label", { class: "field sort" }, make("span", {}, "Sort by"), select);
}

function row(model) {
  const cells = [
    make("th", { scope: "row" }, modelLink(model.name), make("small", {}, model.summary)),
    make("td", { class: "task" }, model.tasks.join(", ")),
    number("parameters", asCount(model.parameters)),
    number("MACs", asCount(model.macs)),
    number("best score", ...scoreText(model.best)),
    number("weights", String(usable(model).length || UNKNOWN)),
    make("td", { class: "license" }, model.license || "not stated"),
  ];
  return make("tr", {}, cells);
}

function number(label, ...content) {
  return make("td", { class: "number", "data-label": label }, ...content);
}

function scoreText(score) {
  if (!score) return [UNKNOWN];
  const where = `${metricName(score.metric)}, ${score.dataset || "data not stated"}`;
  return [asMetric(score.value, score.unit), make("small", {}, where)];
}
