// Talks to the manager. The token lives in this tab's session storage only: closing the tab forgets it.

const KEY = "outrider";
export const session = JSON.parse(sessionStorage.getItem(KEY) || "{}");

export function remember(values) {
  Object.assign(session, values);
  sessionStorage.setItem(KEY, JSON.stringify(session));
}

export function forget() {
  for (const name of Object.keys(session)) delete session[name];
  sessionStorage.removeItem(KEY);
}

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

function headers() {
  return { "Authentication-Token": session.token || "", Tenant: session.tenant || "default_tenant" };
}

async function answer(response) {
  if (response.status === 204) return null;
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new ApiError(response.status, body.message || response.statusText);
  return body;
}

export async function login(user, password) {
  const bytes = new TextEncoder().encode(`${user}:${password}`);
  const basic = btoa(String.fromCharCode(...bytes));
  const send = (tenant) =>
    fetch("/api/v3.1/tokens", {
      method: "POST",
      headers: { Authorization: `Basic ${basic}`, Tenant: tenant, "Content-Type": "application/json" },
      body: JSON.stringify({ description: "web page", expiration_date: "+12h" }),
    });
  const token = await answer(await send(session.tenant || "default_tenant"));
  remember({ token: token.value, tokenId: token.id, user, tenant: session.tenant || "default_tenant" });
}

export const get = async (path) => answer(await fetch(path, { headers: headers() }));

export const post = async (path, body) =>
  answer(
    await fetch(path, {
      method: "POST",
      headers: { ...headers(), "Content-Type": "application/json" },
      body: JSON.stringify(body),
    }),
  );

export const remove = async (path) => answer(await fetch(path, { method: "DELETE", headers: headers() }));

export const api = (path) => get(`/api/v3.1${path}`);
export const beyond = (path) => get(`/outrider/v1${path}`);

// Server-sent events over fetch: EventSource cannot send a token. Calls `on(kind, value)` until the stream ends;
// a connection that breaks is made again after the last record.
export async function follow(path, on, signal) {
  let last = 0;
  let wait = 500;
  while (!signal.aborted) {
    try {
      const response = await fetch(`${path}?after=${last}`, { headers: headers(), signal });
      if (!response.ok) return;
      wait = 500;
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let buffer = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        buffer += value;
        const blocks = buffer.split("\n\n");
        buffer = blocks.pop();
        for (const block of blocks) {
          const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s).slice(0, 2)));
          if (!fields.event) continue;
          if (fields.id) last = Number(fields.id);
          on(fields.event, JSON.parse(fields.data));
          if (fields.event === "end") return;
        }
      }
    } catch (error) {
      if (signal.aborted) return;
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
    wait = Math.min(wait * 2, 10000);
  }
}
