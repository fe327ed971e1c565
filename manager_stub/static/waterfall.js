// Draws where the time of an execution went: a line per attempt, a colour per stage.

import { duration, h } from "./dom.js";

const STAGES = ["queue", "install", "start", "run", "return"];
const MOST = 400;

export function waterfall(data) {
  const total = Math.max(data.seconds, ...data.ended.map((each) => each.ends), 0.001);
  const lines = [
    ...data.ended.map((each) => ({ ...each, parts: parts(each) })),
    ...data.running.map((each) => ({ ...each, ends: data.seconds, parts: [["open", data.seconds - each.begins]] })),
  ].sort((a, b) => a.begins - b.begins);
  if (!lines.length) return h("div", { class: "empty" }, "No operation has been sent yet.");
  const grid = h("div", { class: "fall" });
  for (const line of lines.slice(0, MOST)) grid.append(...drawn(line, total));
  const used = STAGES.map((stage) => [stage, sum(lines, stage)]).filter(([, spent]) => spent >= 0.0005);
  const legend = used.map(([stage, spent]) => h("span", {}, h("i", { class: `st-${stage}` }), `${stage} ${duration(spent)}`));
  for (const [stage, words] of [["retry", "asked to be called again"], ["bad", "failed"]]) {
    const count = lines.filter((line) => line.parts.some(([name]) => name === stage)).length;
    if (count) legend.push(h("span", {}, h("i", { class: `st-${stage}` }), `${count} ${words}`));
  }
  if (data.running.length) legend.push(h("span", {}, h("i", { class: "st-open" }), `${data.running.length} under way`));
  if (lines.length > MOST) legend.push(h("span", {}, `the first ${MOST} of ${lines.length}`));
  return h("div", {}, grid, h("div", { class: "legend" }, ...legend));
}

function parts(attempt) {
  // An operation that asked to be called again has not failed.
  if (attempt.verdict !== "succeeded") return [[attempt.verdict === "rescheduled" ? "retry" : "bad", attempt.ends - attempt.begins]];
  const stages = STAGES.map((stage) => [stage, attempt.stages[stage] || 0]);
  const told = stages.reduce((all, [, seconds]) => all + seconds, 0);
  // What the agent did not measure is the way to it and back.
  stages[STAGES.length - 1][1] += Math.max(0, attempt.ends - attempt.begins - told);
  return stages.filter(([, seconds]) => seconds > 0);
}

const sum = (lines, stage) => lines.flatMap((line) => line.parts).filter(([name]) => name === stage).reduce((all, [, seconds]) => all + seconds, 0);

function drawn(line, total) {
  const short = (line.operation || "").split(".").pop();
  const name = `${short} · ${line.instance || ""}${line.attempt > 1 ? ` (try ${line.attempt})` : ""}`;
  const track = h("div", { class: "track" });
  let begins = line.begins;
  for (const [stage, seconds] of line.parts) {
    // Before 0 is what was before a resume.
    const [left, right] = [Math.max(begins, 0), Math.max(begins + seconds, 0)];
    track.append(h("i", { class: `st-${stage}`, title: `${stage}: ${duration(seconds)}`, style: { left: `${(100 * left) / total}%`, width: `${(100 * (right - left)) / total}%` } }));
    begins += seconds;
  }
  return [
    h("span", { class: "name", title: `${line.operation} on ${line.instance} by ${line.agent}` }, name),
    track,
    h("span", { class: "right soft mono" }, duration(line.ends - line.begins)),
  ];
}
