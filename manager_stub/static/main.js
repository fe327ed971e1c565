// Finds the view for the address, and asks for a login where there is none.

import { ApiError, api, forget, login, remember, remove, session } from "./api.js";
import { h } from "./dom.js";
import * as views from "./views.js";

const ROUTES = [
  [/^#\/?$/, views.deployments, "deployments"],
  [/^#\/deployments\/([^/]+)$/, views.deployment, "deployments"],
  [/^#\/executions$/, views.executions, "executions"],
  [/^#\/executions\/([^/]+)$/, views.execution, "executions"],
  [/^#\/blueprints$/, views.blueprints, "blueprints"],
  [/^#\/plugins$/, views.plugins, "plugins"],
  [/^#\/agents$/, views.agents, "agents"],
];
const TABS = { deployments: "#/", executions: "#/executions", blueprints: "#/blueprints", plugins: "#/plugins", agents: "#/agents" };

const main = document.getElementById("main");
const header = document.getElementById("bar");
let leave = new AbortController();

async function show() {
  leave.abort();
  leave = new AbortController();
  const { signal } = leave;
  if (!session.token) return loginForm();
  const hash = location.hash || "#/";
  const route = ROUTES.find(([pattern]) => pattern.test(hash)) || ROUTES[0];
  const parameters = (hash.match(route[0]) || []).slice(1).map(decodeURIComponent);
  header.hidden = false;
  document.getElementById("nav").replaceChildren(...Object.entries(TABS).map(([name, href]) => h("a", { href, class: name === route[2] ? "on" : undefined }, name[0].toUpperCase() + name.slice(1))));
  document.title = `${parameters[0] || route[2]} · Outrider`;
  // A place of its own: a view that was left while it loaded draws into nothing, not over the one that is shown now.
  const place = h("div", { class: "view" });
  main.replaceChildren(place);
  try {
    await route[1](place, parameters, signal);
  } catch (error) {
    if (signal.aborted) return;
    if (error instanceof ApiError && error.status === 401) {
      forget();
      return loginForm("The login has expired.");
    }
    place.replaceChildren(h("p", { class: "error" }, error.message));
  }
}

function loginForm(text) {
  header.hidden = true;
  const problem = h("div");
  if (text) problem.append(h("p", { class: "error" }, text));
  const user = h("input", { name: "user", value: "admin", autocomplete: "username", required: true });
  const password = h("input", { name: "password", type: "password", autocomplete: "current-password", required: true });
  const submit = async (event) => {
    event.preventDefault();
    try {
      await login(user.value, password.value);
      await tenants();
      await show();
    } catch (error) {
      problem.replaceChildren(h("p", { class: "error" }, error.message));
    }
  };
  const form = h("form", { onsubmit: submit }, h("label", {}, "User", user), h("label", {}, "Password", password), h("button", {}, "Log in"));
  main.replaceChildren(h("div", { class: "login" }, h("div", { class: "brand" }, h("img", { src: "icon.svg", width: 34, height: 34, alt: "" }), "Outrider"), h("div", { class: "card" }, form, problem)));
  password.focus();
}

async function tenants() {
  const { items } = await api("/tenants");
  const select = document.getElementById("tenant");
  select.hidden = items.length < 2;
  select.replaceChildren(...items.map((each) => h("option", { selected: each.name === session.tenant }, each.name)));
}

document.getElementById("tenant").addEventListener("change", (event) => {
  remember({ tenant: event.target.value });
  location.hash = "#/";
  show();
});
document.getElementById("logout").addEventListener("click", async () => {
  await remove(`/api/v3.1/tokens/${session.tokenId}`).catch(() => {});
  forget();
  show();
});
addEventListener("hashchange", show);
if (session.token) tenants().catch(() => {});
show();
