// What every view uses: elements made without markup, numbers as people read them, text to copy.
"use strict";

const UNKNOWN = "\u2014";
const COUNTS = ["", "k", "M", "B", "T"];
const BYTES = [" B", " kB", " MB", " GB", " TB"];
const SVG = "http://www.w3.org/2000/svg";

// An element: attributes by name, `on...` as listeners; children are elements or text, never markup.
function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

function byId(id) {
  return document.getElementById(id);
}

function shortened(count, units) {
  let power = 0;
  while (count >= 999.5 && power < units.length - 1) {
    count /= 1000;
    power += 1;
  }
  return count.toFixed(count >= 99.95 || power === 0 ? 0 : 1) + units[power];
}

function asCount(count) {
  return count === null || count === undefined ? UNKNOWN : shortened(count, COUNTS);
}

function asBytes(count) {
  return count === null || count === undefined ? UNKNOWN : shortened(count, BYTES);
}

function asSeconds(seconds) {
  for (const [unit, lower, name] of [[86400, 3600, "d"], [3600, 60, "h"], [60, 1, "min"]]) {
    if (seconds >= unit - lower / 2) {
      const value = seconds / unit;
      return `${value.toFixed(value < 9.95 && name !== "min" ? 1 : 0)} ${name}`;
    }
  }
  return `${seconds.toFixed(seconds >= 9.95 ? 0 : 1)} s`;
}

function asMetric(value, unit) {
  return unit === "fraction" ? `${(100 * value).toFixed(1)}%` : String(Number(value.toPrecision(4)));
}

// `5000`, `25M` or `1.5B` as a number; null for anything else.
function parseCount(text) {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([kmbt]?)\s*$/i.exec(text.replaceAll(",", ""));
  return match && Number(match[1]) * 1000 ** ["", "k", "m", "b", "t"].indexOf(match[2].toLowerCase());
}

function metricName(metric) {
  return metric === "top1" ? "top-1" : metric.replaceAll("_", " ");
}

function modelLink(name, ...content) {
  return make("a", { href: `#/model/${encodeURI(name)}` }, ...(content.length ? content : [name]));
}

// A command or a file, and a button that copies it.
function copyable(text, label) {
  const words = text.split(/(\s+)/).map((word) => (word.trim() ? make("span", {}, word) : word));
  const code = make("code", {}, words); // each word stays on one line where it fits
  const button = make("button", { type: "button", class: "copy", "aria-label": `Copy ${label}` }, "Copy");
  button.addEventListener("click", async () => {
    button.textContent = (await copied(text, code)) ? "Copied" : "Press Ctrl+C";
    setTimeout(() => (button.textContent = "Copy"), 1600);
  });
  return make("div", { class: "code" }, make("pre", { tabindex: "0", "aria-label": label }, code), button);
}

async function copied(text, code) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    getSelection().selectAllChildren(code); // for the user to copy, where the browser lets no script do it
    return false;
  }
}
