// Draws a deployment: what is depended on stands below, lines to containers are dashed, colours are the instances' states.

import { s, tone } from "./dom.js";

const WIDTH = 176, HEIGHT = 52, GAP_X = 30, GAP_Y = 56, MARGIN = 8;
// A line that passes a row of nodes has a place of its own in that row.
const LANE = 22;
const SWEEPS = 6;

export function topology(nodes, instances) {
  const { rows, routes } = layers(nodes);
  const place = placed(rows, routes);
  const xs = [...place.values()].flatMap(({ x, lane }) => [x - (lane ? LANE : WIDTH) / 2, x + (lane ? LANE : WIDTH) / 2]);
  const [left, right] = [Math.min(0, ...xs) - MARGIN, Math.max(0, ...xs) + MARGIN];
  const width = right - left;
  const height = Math.max(1, rows.length) * (HEIGHT + GAP_Y) - GAP_Y + 2 * MARGIN;
  const at = (id) => {
    const { x, depth } = place.get(id);
    return { x: x - left, y: MARGIN + (rows.length - 1 - depth) * (HEIGHT + GAP_Y) };
  };
  const svg = s("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Topology" });
  const head = s("path", { d: "M0 0 8 4 0 8z", class: "arrow" });
  svg.append(s("defs", {}, s("marker", { id: "head", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 8, markerHeight: 8, orient: "auto" }, head)));
  for (const { relationship, stops } of routes) svg.append(edge(stops.map(at), relationship));
  for (const node of nodes) svg.append(box(node, at(node.id), instances.filter((each) => each.node_id === node.id)));
  return svg;
}

// Rows of ids from the bottom, and for each relationship the ids that its line goes through.
function layers(nodes) {
  const level = levels(nodes);
  const rows = [];
  for (const node of nodes) (rows[level.get(node.id)] ||= []).push({ id: node.id, lane: false });
  const routes = [];
  for (const node of nodes) {
    for (const relationship of node.relationships) {
      const target = relationship.target_id;
      if (!level.has(target) || level.get(target) >= level.get(node.id)) continue;
      const stops = [node.id];
      for (let depth = level.get(node.id) - 1; depth > level.get(target); depth--) {
        const id = `lane ${routes.length} ${depth}`;
        rows[depth].push({ id, lane: true });
        stops.push(id);
      }
      routes.push({ relationship, stops: [...stops, target] });
    }
  }
  return { rows, routes };
}

// Id → middle and row. Each row is ordered by the middles of what it is connected to, downwards and upwards in turns.
function placed(rows, routes) {
  const near = new Map();
  const connect = (a, b) => near.set(a, [...(near.get(a) || []), b]);
  for (const { stops } of routes) stops.slice(1).forEach((each, index) => (connect(each, stops[index]), connect(stops[index], each)));
  const place = new Map();
  rows.forEach((row, depth) => spread(row, depth, place));
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const depths = [...rows.keys()];
    if (sweep % 2) depths.reverse();
    for (const depth of depths) {
      const side = sweep % 2 ? 1 : -1;
      const wish = ({ id }) => middle((near.get(id) || []).map((each) => place.get(each)).filter((each) => Math.sign(each.depth - depth) === side).map(({ x }) => x), place.get(id).x);
      const wishes = new Map(rows[depth].map((each) => [each.id, wish(each)]));
      rows[depth].sort((a, b) => wishes.get(a.id) - wishes.get(b.id));
      spread(rows[depth], depth, place, wishes);
    }
  }
  return place;
}

// Puts a row's members side by side, as near to their wishes as their widths allow.
function spread(row, depth, place, wishes = new Map()) {
  const size = ({ lane }) => (lane ? LANE : WIDTH);
  let edge = -Infinity;
  const found = row.map((each) => {
    const x = Math.max(wishes.get(each.id) ?? -Infinity, edge === -Infinity ? wishes.get(each.id) ?? 0 : edge + size(each) / 2);
    edge = x + size(each) / 2 + GAP_X;
    return x;
  });
  // What was pushed to the right moves back by the mean, so that rows stay above one another.
  const drift = wishes.size ? middle(row.map((each, index) => found[index] - wishes.get(each.id)), 0) : (found.at(-1) + found[0]) / 2;
  row.forEach((each, index) => place.set(each.id, { x: found[index] - drift, depth, lane: each.lane }));
}

const middle = (values, otherwise) => (values.length ? values.reduce((a, b) => a + b, 0) / values.length : otherwise);

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

function edge(stops, relationship) {
  const contained = (relationship.type_hierarchy || [relationship.type]).some((each) => each.endsWith("contained_in"));
  let path = `M${stops[0].x} ${stops[0].y + HEIGHT}`;
  stops.slice(1).forEach((to, index) => {
    const from = stops[index];
    const [y1, y2] = [from.y + HEIGHT, to.y - (index === stops.length - 2 ? 2 : 0)];
    const bend = (y2 - y1) / 2;
    path += ` C${from.x} ${y1 + bend} ${to.x} ${y2 - bend} ${to.x} ${y2}`;
    if (index < stops.length - 2) path += ` L${to.x} ${to.y + HEIGHT}`;
  });
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
    s("text", { x: left + 15, y: y + 22 }, clip(node.id, 19 - count.length) + count),
    s("text", { x: left + 15, y: y + 39, class: "type" }, clip(node.type.replace("cloudify.nodes.", ""), 23)),
  );
}

const clip = (text, length) => (text.length > length ? text.slice(0, length - 1) + "…" : text);
