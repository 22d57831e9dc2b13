// Subscribes this tab to event streams, through the worker that all tabs share. A hidden tab has none: when it
// is shown again, it gets the newest round at once.

import { key, onSession, signedOut } from "./api.js";

const URL_OF_WORKER = "/worker.js";
const policy = globalThis.trustedTypes?.createPolicy("gomd", {
  createScriptURL: (url) => {
    if (url !== URL_OF_WORKER) throw new TypeError("this page has one worker");
    return url;
  },
});
const url = policy ? policy.createScriptURL(URL_OF_WORKER) : URL_OF_WORKER;
const port = globalThis.SharedWorker ? new SharedWorker(url, { name: "gomd" }).port : new Worker(url);
const open = new Map(); // id -> subscription
const states = new Set();
let next = 1;
let state = "connecting";

function ask(message) {
  port.postMessage(message);
}

function begin(each) {
  if (!document.hidden) ask({ do: "subscribe", id: each.id, path: each.path(), key: key() });
}

function setState(value) {
  state = value;
  for (const listener of states) listener(value);
}

/** Call `listener` with "live", "lost" or "paused" whenever that changes, and now. */
export function onState(listener) {
  states.add(listener);
  listener(state);
}

/**
 * Watch a verb, until the returned function is called.
 *
 * `take` gets the data of each message and its event; `path` may be a function, asked at each beginning.
 */
export function watch(path, take, failed = () => {}) {
  const each = { id: next++, path: () => `/api/v1/watch/${typeof path === "function" ? path() : path}`, take, failed };
  open.set(each.id, each);
  begin(each);
  return () => {
    open.delete(each.id);
    ask({ do: "unsubscribe", id: each.id });
  };
}

port.onmessage = ({ data: { id, event, data } }) => {
  if (event === "forgotten") {
    setState("connecting");
    for (const each of open.values()) begin(each);
    return;
  }
  const each = open.get(id);
  if (!each) return;
  if (event === "lost") setState("lost");
  else if (event === "open") setState("live");
  else if (event === "signed-out") signedOut(data?.error);
  else if (event === "failed") each.failed(data);
  else {
    if (state !== "live") setState("live");
    each.take(data, event);
  }
};
port.start?.();

document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    ask({ do: "leave" });
    setState("paused");
  } else {
    setState("connecting");
    for (const each of open.values()) begin(each);
  }
});
addEventListener("pagehide", () => ask({ do: "leave" }));
addEventListener("pageshow", (event) => {
  if (event.persisted) for (const each of open.values()) begin(each);
});
setInterval(() => { if (!document.hidden) ask({ do: "here" }); }, 10000);
onSession(() => {
  ask({ do: "leave" });
  for (const each of open.values()) begin(each);
});
