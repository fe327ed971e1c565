// Draws a deployment: what is depended on stands below, containers are dashed, colours are the instances' states.

import { s, tone } from "./dom.js";

const WIDTH = 176, HEIGHT = 52, GAP_X = 30, GAP_Y = 56, MARGIN = 8;

export function topology(nodes, instances) {
  const level = levels(nodes);
  const rows = [];
  for (const node of nodes) (rows[level.get(node.id)] ||= []).push(node);
  // Nodes stand above the middle of what they depend on, so that fewer lines cross.
  const place = new Map();
  rows.forEach((row, depth) => {
    const wish = (node) => middle(node.relationships.map((each) => place.get(each.target_id)?.column).filter((each) => each !== undefined));
    if (depth) row.sort((a, b) => wish(a) - wish(b));
    row.forEach((node, index) => place.set(node.id, { column: index - (row.length - 1) / 2, depth }));
  });
  const widest = Math.max(1, ...rows.map((row) => row.length));
  const width = widest * (WIDTH + GAP_X) - GAP_X + 2 * MARGIN;
  const height = rows.length * (HEIGHT + GAP_Y) - GAP_Y + 2 * MARGIN;
  const at = (id) => {
    const { column, depth } = place.get(id);
    return { x: width / 2 + column * (WIDTH + GAP_X), y: MARGIN + (rows.length - 1 - depth) * (HEIGHT + GAP_Y) };
  };
  const svg = s("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Topology" });
  const head = s("path", { d: "M0 0 8 4 0 8z", class: "arrow" });
  svg.append(s("defs", {}, s("marker", { id: "head", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 8, markerHeight: 8, orient: "auto" }, head)));
  for (const node of nodes) for (const each of node.relationships) if (place.has(each.target_id)) svg.append(edge(at(node.id), at(each.target_id), each));
  for (const node of nodes) svg.append(box(node, at(node.id), instances.filter((each) => each.node_id === node.id)));
  return svg;
}

const middle = (values) => (values.length ? values.reduce((a, b) => a + b, 0) / values.length : 0);

function levels(nodes) {
  const known = new Map(nodes.map((node) => [node.id, node]));
  const found = new Map();
  const visit = (node, path) => {
    if (found.has(node.id)) return found.get(node.id);
    if (path.has(node.id)) return 0;
    path.add(node.id);
    const below = node.relationships.map((each) => known.get(each.target_id)).filter(Boolean).map((each) => visit(each, path) + 1);
    path.delete(node.id);
    found.set(node.id, Math.max(0, ...below));
    return found.get(node.id);
  };
  nodes.forEach((node) => visit(node, new Set()));
  return found;
}

function edge(from, to, relationship) {
  const contained = (relationship.type_hierarchy || [relationship.type]).some((each) => each.endsWith("contained_in"));
  const [y1, y2] = [from.y + HEIGHT, to.y - 2];
  const bend = Math.max(20, (y2 - y1) / 2);
  const path = `M${from.x} ${y1} C${from.x} ${y1 + bend} ${to.x} ${y2 - bend} ${to.x} ${y2}`;
  return s("path", { d: path, class: `edge${contained ? " contained" : ""}`, "marker-end": "url(#head)" }, s("title", {}, relationship.type));
}

const WORST = ["bad", "busy", "warn", "idle", "good"];

function box(node, { x, y }, instances) {
  const tones = instances.map((each) => tone(each.state));
  const kind = WORST.find((each) => tones.includes(each)) || "idle";
  const states = [...new Set(instances.map((each) => each.state))].join(", ") || "no instances";
  const up = instances.filter((each) => each.state === "started").length;
  const count = instances.length > 1 ? ` · ${up}/${instances.length}` : "";
  const left = x - WIDTH / 2;
  return s(
    "g", { class: `node ${kind}`, "data-node": node.id },
    s("title", {}, `${node.id} (${node.type}): ${states}`),
    s("rect", { x: left, y, width: WIDTH, height: HEIGHT, rx: 9 }),
    s("rect", { x: left, y: y + 9, width: 4, height: HEIGHT - 18, rx: 2, class: "stripe" }),
    s("text", { x: left + 15, y: y + 22 }, clip(node.id, 21) + count),
    s("text", { x: left + 15, y: y + 39, class: "type" }, clip(node.type.replace("cloudify.nodes.", ""), 23)),
  );
}

const clip = (text, length) => (text.length > length ? text.slice(0, length - 1) + "…" : text);
