// Makes elements. Texts are always set as text, never as markup: names come from other people's blueprints.

const SVG = "http://www.w3.org/2000/svg";

export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function s(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(element.style, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((each) => each !== null && each !== undefined && each !== false));
  return element;
}

export function table(columns, rows, empty) {
  if (!rows.length) return h("div", { class: "empty" }, ...[].concat(empty));
  const head = h("tr", {}, ...columns.map((name) => h("th", {}, name)));
  // In a narrow window each row is a block of its own, whose values are named by these.
  for (const each of rows) [...each.cells].forEach((cell, index) => cell.setAttribute("data-label", columns[index]));
  return h("table", {}, h("thead", {}, head), h("tbody", {}, ...rows));
}

export function row(href, ...cells) {
  const open = href ? () => (location.hash = href) : undefined;
  return h("tr", { class: href ? "link" : undefined, onclick: open }, ...cells.map((cell) => h("td", {}, ...[].concat(cell))));
}

const TONES = {
  started: "good", active: "good", terminated: "good", completed: "good", good: "good", uploaded: "good", succeeded: "good",
  failed: "bad", invalid: "bad", nonresponsive: "bad", requires_attention: "warn", cancelled: "warn", cancelling: "warn",
  force_cancelling: "warn", kill_cancelling: "warn", pending: "busy", in_progress: "busy", creating: "busy", starting: "busy",
  configuring: "busy", initializing: "busy", stopping: "busy", deleting: "busy", created: "busy", configured: "busy", parsing: "busy",
};

export const tone = (state) => TONES[state] || (String(state).startsWith("failed") ? "bad" : "idle");

// An execution that is "started" is under way; an instance that is "started" is up.
export function pill(state, { running = false } = {}) {
  const kind = running ? "busy" : tone(state);
  return h("span", { class: `pill ${kind}` }, String(state).replaceAll("_", " "));
}

export const ENDED = new Set(["terminated", "failed", "cancelled"]);
const SHOWN = { terminated: "completed", started: "running" };
export const executionPill = (e) => pill(SHOWN[e.status] || e.status, { running: !ENDED.has(e.status) && !e.status.includes("cancel") });

export function ago(text) {
  if (!text) return "–";
  return since((Date.now() - Date.parse(text)) / 1000) + " ago";
}

export function since(seconds) {
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} days`;
}

export function duration(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  return seconds < 60 ? `${seconds.toFixed(2)} s` : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}
