// From the address to the view, and back.
"use strict";

const PAUSE = 150; // milliseconds without a key after which the address follows: browsers let it change only so often
let pending = 0; // a timer, until the address follows

function route() {
  const [path, query = ""] = location.hash.replace(/^#/, "").split("?");
  const parts = decodeURI(path || "/").split("/").filter(Boolean);
  const view = parts[0] === "model" ? "model" : ["plot", "recommend"].includes(parts[0]) ? parts[0] : "table";
  return { view, name: parts.slice(1).join("/"), parameters: new URLSearchParams(query) };
}

function show() {
  const { view, name, parameters } = route();
  document.title = "Model catalogue";
  document.body.dataset.view = view;
  if (view === "table" || view === "plot") readState(parameters);
  for (const link of document.querySelectorAll("nav a")) {
    const isHere = link.dataset.view === view;
    if (isHere) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (view === "model") showModel(byId("view"), name);
  else if (view === "recommend") showRecommend(byId("view"), parameters);
  else update();
  linkFilters();
}

// After a filter has changed: the same view, soon with the filters in its address.
function changed() {
  update();
  linkFilters();
  const path = route().view === "plot" ? "#/plot" : "#/";
  clearTimeout(pending);
  pending = setTimeout(() => history.replaceState(null, "", path + stateText()), PAUSE);
}

function update() {
  if (route().view === "plot") showPlot(byId("view"), changed);
  else showTable(byId("view"), changed);
}

// Table and plot show the same models: going from one to the other keeps the filters.
function linkFilters() {
  document.querySelector('nav a[data-view="table"]').href = `#/${stateText()}`;
  document.querySelector('nav a[data-view="plot"]').href = `#/plot${stateText()}`;
}

setUpFilters(changed);
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("main").focus();
});
addEventListener("hashchange", () => {
  clearTimeout(pending);
  show();
  scrollTo(0, 0);
  if (route().view === "model") document.querySelector("h1")?.focus();
});
narrow.addEventListener("change", () => route().view === "plot" && update());
addEventListener("keydown", (event) => {
  if (event.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName) && byId("q").offsetParent) {
    event.preventDefault();
    byId("q").focus();
  }
});
show();
