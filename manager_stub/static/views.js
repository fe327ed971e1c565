// The page's views: each is given what the address names and a signal that says when it is left.

import { api, beyond, follow, post } from "./api.js";
import { ENDED, ago, duration, executionPill, h, pill, row, since, table, tone } from "./dom.js";
import { topology } from "./topology.js";
import { waterfall } from "./waterfall.js";

const head = (title, ...more) => h("div", { class: "head" }, h("h1", {}, title), ...more);
const card = (title, ...content) => h("section", { class: "card" }, title && h("h2", {}, title), ...content);
const flush = (title, ...content) => h("section", { class: "card flush" }, title && h("h2", {}, title), ...content);
const hint = (text, command) => [h("div", {}, text), h("code", {}, command)];

// Repeats `work` until the view is left; a failure is shown once by the first call.
function every(milliseconds, signal, work) {
  const timer = setInterval(() => work().catch(() => {}), milliseconds);
  signal.addEventListener("abort", () => clearInterval(timer));
}

export async function deployments(main, _parameters, signal) {
  const list = flush("");
  const draw = async () => {
    const { items } = await api("/deployments?_sort=-created_at&_size=200");
    const rows = items.map((each) =>
      row(`#/deployments/${encodeURIComponent(each.id)}`, h("b", {}, each.display_name), each.blueprint_id, states(each), latest(each), pill(each.deployment_status), ago(each.created_at)),
    );
    list.replaceChildren(table(["Deployment", "Blueprint", "Instances", "Latest execution", "Status", "Made"], rows, hint("No deployments yet.", "cfy install blueprint.yaml -b app -d app")));
  };
  await draw();
  main.replaceChildren(head("Deployments"), list);
  every(2000, signal, draw);
}

function states(deployment) {
  const found = Object.entries(deployment.instance_states);
  if (!found.length) return "–";
  return h("span", { class: "small" }, found.map(([state, count]) => `${count} ${state}`).join(", "));
}

function latest(deployment) {
  const workflow = deployment.latest_execution_workflow_id;
  if (!workflow) return h("span", { class: "soft" }, "none");
  const [done, total] = [deployment.latest_execution_finished_operations, deployment.latest_execution_total_operations];
  const link = h("a", { href: `#/executions/${deployment.latest_execution}`, onclick: (event) => event.stopPropagation() }, workflow);
  if (deployment.latest_execution_status !== "in_progress") return link;
  return [link, bar(done, total)];
}

function bar(done, total, kind = "busy") {
  return h("div", { class: `progress ${kind}` }, h("i", { style: { width: `${total ? (100 * done) / total : 0}%` } }));
}

export async function deployment(main, [id], signal) {
  const name = encodeURIComponent(id);
  const [record, nodes] = await Promise.all([api(`/deployments/${name}`), api(`/nodes?deployment_id=${name}&_get_all_results=true`)]);
  const drawing = h("div", { class: "topology" });
  const instanceList = flush("");
  const executionList = flush("");
  const outputs = h("div");
  const facts = h("div");
  const draw = async () => {
    const [now, instances, executions, values] = await Promise.all([
      api(`/deployments/${name}?_include=deployment_status,installation_status`),
      api(`/node-instances?deployment_id=${name}&_get_all_results=true`),
      api(`/executions?deployment_id=${name}&_sort=-created_at&_size=20`),
      api(`/deployments/${name}/outputs`),
    ]);
    const old = drawing.scrollLeft;
    drawing.replaceChildren(topology(nodes.items, instances.items));
    drawing.scrollLeft = old;
    facts.replaceChildren(pill(now.deployment_status));
    instanceList.replaceChildren(h("h2", {}, "Instances"), table(["Instance", "State", "Runtime properties"], instances.items.map((each) => row(null, h("span", { class: "mono" }, each.id), pill(each.state), properties(each.runtime_properties))), "It has no instances."));
    executionList.replaceChildren(h("h2", {}, "Executions"), executionTable(executions.items, false));
    outputs.replaceChildren(properties(values.outputs));
  };
  await draw();
  main.replaceChildren(
    head(record.display_name, facts, h("span", { class: "sub" }, `from ${record.blueprint_id}, made ${ago(record.created_at)} by ${record.created_by || "somebody"}`), h("span", { class: "grow" }), launcher(record)),
    h("div", { class: "grid" }, card("Topology", drawing, legend()), h("div", {}, card("Outputs", outputs), card("Inputs", properties(record.inputs)))),
    executionList,
    instanceList,
  );
  every(1500, signal, draw);
}

function legend() {
  const known = [["good", "started"], ["busy", "changing"], ["idle", "not there"], ["bad", "failed"]];
  return h("div", { class: "legend" }, ...known.map(([kind, text]) => h("span", { class: kind }, h("i", { style: { background: "var(--c)" } }), text)));
}

function launcher(record) {
  const select = h("select", { "aria-label": "Workflow" }, ...record.workflows.filter((each) => each.name !== "update").map((each) => h("option", { selected: each.name === "install" }, each.name)));
  const start = async () => {
    button.disabled = true;
    try {
      const started = await post("/api/v3.1/executions", { deployment_id: record.id, workflow_id: select.value, parameters: {} });
      location.hash = `#/executions/${started.id}`;
    } catch (error) {
      alert(error.message);
    } finally {
      button.disabled = false;
    }
  };
  const button = h("button", { onclick: start }, "Run");
  return h("span", {}, select, " ", button);
}

function properties(values) {
  const found = Object.entries(values || {});
  if (!found.length) return h("span", { class: "soft" }, "none");
  return h("dl", { class: "small" }, ...found.flatMap(([key, value]) => [h("dt", {}, key), h("dd", { class: "mono" }, typeof value === "string" ? value : JSON.stringify(value))]));
}

function executionTable(items, withDeployment) {
  const rows = items.map((each) =>
    row(`#/executions/${each.id}`, ...[h("b", {}, each.workflow_id), ...(withDeployment ? [each.deployment_id || "–"] : []), executionPill(each), `${each.finished_operations} / ${each.total_operations}`, each.started_at ? duration((Date.parse(each.ended_at || new Date().toISOString()) - Date.parse(each.started_at)) / 1000) : "–", ago(each.created_at), each.created_by || "–"]),
  );
  return table(["Workflow", ...(withDeployment ? ["Deployment"] : []), "Status", "Operations", "Took", "Started", "By"], rows, "No workflow was run yet.");
}

export async function executions(main, _parameters, signal) {
  const list = flush("");
  const draw = async () => list.replaceChildren(executionTable((await api("/executions?_sort=-created_at&_size=200")).items, true));
  await draw();
  main.replaceChildren(head("Executions"), list);
  every(2000, signal, draw);
}

export async function execution(main, [id], signal) {
  let record = await api(`/executions/${id}`);
  const status = h("span");
  const actions = h("span");
  const progress = h("div");
  const problem = h("div");
  const fall = h("div");
  const waits = h("div");
  const log = h("div", { class: "log", role: "log" });
  const act = (action) => async () => {
    try {
      await post(`/api/v3.1/executions/${id}`, { action });
      if (action.endsWith("resume")) location.reload();
    } catch (error) {
      problem.replaceChildren(h("p", { class: "error" }, error.message));
    }
  };
  const show = (values) => {
    record = { ...record, ...values };
    const ended = ENDED.has(record.status);
    status.replaceChildren(executionPill(record));
    const kind = ended ? tone(record.status) : "busy";
    const count = `${record.finished_operations} of ${record.total_operations} operations`;
    progress.replaceChildren(h("div", { class: "bar" }, bar(record.finished_operations, record.total_operations, kind), h("span", { class: "soft small" }, count)));
    problem.replaceChildren(...(record.error ? [h("p", { class: "error" }, record.error)] : []));
    const cancelling = record.status.includes("cancelling");
    actions.replaceChildren(
      ...(ended ? [] : [h("button", { class: "danger", onclick: act(cancelling ? "force-cancel" : "cancel") }, cancelling ? "Do not wait" : "Cancel")]),
      ...(["failed", "cancelled"].includes(record.status) && record.deployment_id ? [h("button", { onclick: act("resume") }, "Resume")] : []),
    );
  };
  show({});
  const draw = async () => {
    const [data, reasons] = await Promise.all([beyond(`/executions/${id}/waterfall`), ENDED.has(record.status) && record.status !== "failed" ? [] : beyond(`/executions/${id}/why`)]);
    fall.replaceChildren(waterfall(data));
    waits.replaceChildren(...(reasons.length ? [card("What it waits for", ...waiting(reasons))] : []));
  };
  main.replaceChildren(
    head(record.workflow_id, status, h("span", { class: "sub" }, "on ", record.deployment_id ? h("a", { href: `#/deployments/${encodeURIComponent(record.deployment_id)}` }, record.deployment_id) : "an agent", ` · ${ago(record.created_at)} by ${record.created_by || "somebody"}`), h("span", { class: "grow" }), actions),
    problem, card("", progress), card("Where the time goes", fall), waits, flush("Events and logs", log),
  );
  await draw();
  let due = false;
  follow(`/outrider/v1/executions/${id}/events`, (kind, value) => {
    if (kind === "record") line(log, value);
    else show(value);
    if (kind === "end") draw().catch(() => {});
    due = true;
  }, signal);
  every(700, signal, async () => {
    if (!due && ENDED.has(record.status)) return;
    due = false;
    await draw();
  });
}

// What waits for other operations alone says nothing of its own: those are counted.
function waiting(reasons) {
  const telling = reasons.filter((each) => !each.tasks?.length);
  const shown = (telling.length ? telling : reasons).slice(0, 12);
  const more = reasons.length - shown.length;
  return [
    h("dl", { class: "small" }, ...shown.flatMap((each) => [h("dt", {}, each.operation ? `${each.operation.split(".").pop()} · ${each.instance}` : each.instance || each.subject), h("dd", {}, each.waits_for)])),
    more > 0 && h("p", { class: "soft small" }, `${more} more ${more === 1 ? "step waits" : "steps wait"} for these.`),
  ];
}

const EVENT_TONES = { task_failed: "is-bad", workflow_failed: "is-bad", task_rescheduled: "is-warn", workflow_succeeded: "is-good", task_succeeded: "is-good", workflow_cancelled: "is-warn" };
const LEVELS = { error: "is-bad", critical: "is-bad", warning: "is-warn", debug: "is-debug" };
const LINES = 5000;

function line(log, record) {
  const follows = log.scrollTop + log.clientHeight >= log.scrollHeight - 30;
  const kind = record.type === "cloudify_event" ? EVENT_TONES[record.event_type] || "is-event" : LEVELS[record.level] || "";
  const operation = (record.operation || "").split(".").pop();
  const who = [record.node_instance_id, operation].filter(Boolean).join(".");
  const time = new Date(record.reported_timestamp).toLocaleTimeString([], { hour12: false }) + "." + record.reported_timestamp.slice(20, 23);
  log.append(h("div", { class: kind }, h("time", {}, time), h("span", { class: "who", title: who }, who), h("span", { class: "text" }, record.message)));
  while (log.childElementCount > LINES) log.firstElementChild.remove();
  if (follows) log.scrollTop = log.scrollHeight;
}

export async function blueprints(main) {
  const { items } = await api("/blueprints?_sort=-created_at&_size=500");
  const rows = items.map((each) => row(null, h("b", {}, each.id), pill(each.state), each.main_file_name, each.description || "–", ago(each.created_at), each.created_by));
  main.replaceChildren(head("Blueprints"), flush("", table(["Blueprint", "State", "Main file", "Description", "Uploaded", "By"], rows, hint("No blueprints yet.", "cfy blueprints upload blueprint.yaml -b app"))));
}

export async function plugins(main) {
  const { items } = await api("/plugins?_sort=package_name&_size=500");
  const rows = items.map((each) => row(null, h("b", {}, each.package_name), each.package_version, h("span", { class: "mono small" }, each.wagons.map((wagon) => wagon.filename).join("\n")), size(each.wagons), each.yaml_files_paths.join(", ") || "–", ago(each.uploaded_at), each.created_by));
  main.replaceChildren(head("Plugins"), flush("", table(["Plugin", "Version", "Wagons", "Size", "Descriptions", "Uploaded", "By"], rows, hint("No plugins yet.", "cfy plugins upload NAME.wgn -y plugin.yaml"))));
}

const size = (wagons) => `${(wagons.reduce((all, each) => all + each.size_bytes, 0) / 1e6).toFixed(1)} MB`;

export async function agents(main, _parameters, signal) {
  const list = flush("");
  const draw = async () => {
    const found = await beyond("/fleet");
    const rows = found.map((each) => {
      const beat = each.heartbeat || {};
      const running = (beat.running || []).length;
      const lost = each.seen_seconds_ago === null || each.seen_seconds_ago > 30;
      return row(null, h("b", {}, each.id), each.fenced ? pill("fenced") : pill(lost ? "nonresponsive" : "active"), each.seen_seconds_ago === null ? "never" : `${since(each.seen_seconds_ago)} ago`, running ? [`${running}`, doing(beat)] : h("span", { class: "soft" }, "idle"), beat.version || "–", beat.platform || "–");
    });
    list.replaceChildren(table(["Agent", "State", "Last seen", "Running", "Version", "Platform"], rows, "No agent has been heard of yet."));
  };
  await draw();
  main.replaceChildren(head("Agents"), list);
  every(2000, signal, draw);
}

function doing(beat) {
  return h("div", { class: "soft small" }, ...Object.values(beat.doing || {}).slice(0, 5).map((text) => h("div", {}, text)));
}
