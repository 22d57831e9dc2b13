// The worker that all tabs share, with a clock and a daemon of the test: node --test worker.test.mjs

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import vm from "node:vm";

const SCRIPT = readFileSync(new URL("../../gomd/web/static/worker.js", import.meta.url), "utf-8");
const settle = async () => { for (let turn = 0; turn < 30; turn += 1) await new Promise(setImmediate); };

/** A worker: `tab()` opens one, `requests` are its open streams, `pass(ms)` lets time go on, as far as it is awake. */
function begin() {
  const state = { now: 1e9, requests: [], timers: [], ticks: [] };
  const self = { SharedWorkerGlobalScope: true };
  class FakeDate extends Date {
    static now() { return state.now; }
  }
  const context = vm.createContext({
    self, Date: FakeDate, TextDecoder, AbortController, Promise, Map, Set, JSON, console,
    setInterval: (call, every) => state.ticks.push({ call, every, next: state.now + every }),
    setTimeout: (call, after) => state.timers.push({ call, at: state.now + after }),
    fetch: (path, { headers, signal }) => new Promise((resolve, reject) => {
      const request = { path, headers, isOpen: true, chunks: [], wake: null };
      state.requests.push(request);
      signal.addEventListener("abort", () => {
        request.isOpen = false;
        reject(new Error("aborted"));
        request.wake?.reject(new Error("aborted"));
      });
      request.answer = (status, told = {}) => resolve({
        ok: status === 200, status, json: async () => told,
        body: { getReader: () => ({ read: () => new Promise((next, fail) => {
          if (request.chunks.length) next({ value: request.chunks.shift() });
          else if (!request.isOpen) fail(new Error("aborted"));
          else request.wake = { resolve: next, reject: fail };
        }) }) },
      });
      request.send = (text) => {
        const value = new TextEncoder().encode(text);
        const { wake } = request;
        request.wake = null;
        if (wake) wake.resolve({ value });
        else request.chunks.push(value);
      };
      request.end = () => { request.isOpen = false; request.wake?.resolve({ done: true }); };
    }),
  });
  vm.runInContext(SCRIPT, context);
  return {
    ...state,
    open: () => state.requests.filter((each) => each.isOpen),
    newest: () => state.requests[state.requests.length - 1],
    tab() {
      const told = [];
      const port = { postMessage: (message) => told.push(JSON.parse(JSON.stringify(message))) };
      self.onconnect({ ports: [port] });
      return { told, say: (message) => port.onmessage({ data: message }), events: () => told.splice(0).map((each) => each.event) };
    },
    async pass(milliseconds) {
      for (const end = state.now + milliseconds; state.now < end;) {
        state.now = Math.min(end, state.now + 1000);
        for (const each of state.ticks) while (each.next <= state.now) { each.next += each.every; each.call(); }
        for (const each of state.timers.splice(0)) if (each.at <= state.now) each.call(); else state.timers.push(each);
        await settle();
      }
    },
    async sleep(milliseconds) { // nothing runs; afterwards each timer is late
      state.now += milliseconds;
      for (const each of state.ticks) { each.next = state.now + each.every; each.call(); }
      await settle();
    },
  };
}

const NODES = "/api/v1/watch/nodes?n=1";
const round = (number) => `data: {"rows": [${number}]}\n\n`;

/** A worker with one tab that watches the nodes. */
async function watching() {
  const worker = begin();
  const tab = worker.tab();
  tab.say({ do: "subscribe", id: 1, path: NODES, key: "" });
  worker.newest().answer(200);
  worker.newest().send(round(1));
  await settle();
  assert.deepEqual(tab.events(), ["open", "message"]);
  return { worker, tab };
}

test("tabs share a stream, and a later one gets the newest round at once", async () => {
  const { worker, tab } = await watching();
  const other = worker.tab();
  other.say({ do: "subscribe", id: 7, path: NODES, key: "" });
  assert.equal(worker.open().length, 1);
  assert.deepEqual(other.told.splice(0).map((each) => [each.id, each.data.rows]), [[7, [1]]]);
  tab.say({ do: "leave" });
  assert.equal(worker.open().length, 1);
  other.say({ do: "leave" });
  assert.equal(worker.open().length, 0);
});

test("a round that comes in pieces is one message", async () => {
  const { worker, tab } = await watching();
  for (const piece of ["id: 2\nda", "ta: {\"rows\"", ": [\"ä", "\"]}\n", "\n: gomd\n\ndata: {\"rows\": []}\n\n"]) worker.newest().send(piece);
  await settle();
  assert.deepEqual(tab.told.splice(0).map((each) => each.data.rows), [["ä"], []]);
});

test("after the machine slept, every stream begins anew, whatever became of its connection", async () => {
  const { worker, tab } = await watching();
  const before = worker.newest();
  await worker.sleep(8 * 3600 * 1000);
  assert.equal(before.isOpen, false);
  assert.deepEqual(tab.events(), ["lost"]);
  await worker.pass(1000);
  assert.notEqual(worker.newest(), before);
  worker.newest().answer(200);
  worker.newest().send(round(2));
  await settle();
  assert.deepEqual(tab.told.splice(0).map((each) => [each.event, each.data?.rows]), [["open", undefined], ["message", [2]]]);
});

test("a connection on which nothing comes any more is given up", async () => {
  const { worker, tab } = await watching();
  const before = worker.newest();
  for (let turn = 0; turn < 4; turn += 1) { await worker.pass(9000); tab.say({ do: "here" }); }
  assert.equal(before.isOpen, true); // heartbeats may be 15 s apart, and some are late
  await worker.pass(10000);
  assert.equal(before.isOpen, false);
  assert.deepEqual(tab.events(), ["lost"]);
});

test("a tab that stands still loses its streams, and gets them again when it goes on", async () => {
  const { worker, tab } = await watching();
  for (let second = 0; second < 36; second += 1) {
    await worker.pass(1000);
    if (worker.open().length) worker.newest().send(round(second));
    await settle();
  }
  assert.equal(worker.open().length, 0); // rounds would pile up in a tab that takes none
  assert.ok(tab.told.splice(0).length <= 36);
  tab.say({ do: "here" });
  assert.deepEqual(tab.events(), ["forgotten"]);
  tab.say({ do: "subscribe", id: 1, path: NODES, key: "" });
  assert.equal(worker.open().length, 1);
});

test("a daemon that is away is asked again, ever more seldom, and what is refused is not", async () => {
  const { worker, tab } = await watching();
  worker.newest().end();
  await settle();
  let asked = worker.requests.length;
  for (let minute = 0; minute < 2; minute += 1) {
    for (let second = 0; second < 60; second += 1) {
      await worker.pass(1000);
      tab.say({ do: "here" });
      if (worker.open().length) { worker.newest().isOpen = false; worker.newest().answer(503, { code: 503, error: "busy" }); }
      await settle();
    }
    if (!minute) asked = worker.requests.length;
  }
  assert.ok(worker.requests.length - asked <= 8, `asked ${worker.requests.length - asked} times in a minute`);
  await worker.pass(10000);
  tab.events();
  worker.newest().answer(403, { code: 403, error: "no" });
  await settle();
  assert.deepEqual(tab.told.splice(0), [{ id: 1, event: "failed", data: { code: 403, error: "no" } }]);
  asked = worker.requests.length;
  await worker.pass(25000);
  assert.equal(worker.requests.length, asked);
});

test("a session that is over is said to every tab that has it, and to no other one", async () => {
  const { worker, tab } = await watching();
  const signed = [worker.tab(), worker.tab()];
  for (const each of signed) each.say({ do: "subscribe", id: 3, path: NODES, key: "k" });
  assert.equal(worker.newest().headers["X-Gomd-Session"], "k");
  worker.newest().answer(200);
  worker.newest().send('event: signed-out\ndata: {"code": 401, "error": "over"}\n\n');
  await settle();
  for (const each of signed) assert.deepEqual(each.events(), ["open", "signed-out"]);
  assert.deepEqual(tab.events(), []);
  assert.equal(worker.open().length, 1);
});

test("a sixth stream is refused in a sentence: one connection is left for requests", async () => {
  const { worker, tab } = await watching();
  for (let id = 2; id < 6; id += 1) tab.say({ do: "subscribe", id, path: `/api/v1/watch/attach/${id}`, key: "k" });
  assert.equal(worker.open().length, 5);
  tab.say({ do: "subscribe", id: 6, path: "/api/v1/watch/attach/6", key: "k" });
  assert.equal(worker.open().length, 5);
  assert.deepEqual(tab.told.splice(0).map((each) => [each.event, each.data.code]), [["failed", 429]]);
});

test("a tab that comes late gets the events that were before", async () => {
  const { worker, tab } = await watching();
  tab.say({ do: "subscribe", id: 2, path: "/api/v1/watch/events?resync=1", key: "" });
  worker.newest().answer(200);
  worker.newest().send('data: {"rows": ["a"], "resync": true}\n\ndata: {"rows": ["b"]}\n\n');
  await settle();
  const late = worker.tab();
  late.say({ do: "subscribe", id: 1, path: "/api/v1/watch/events?resync=1", key: "" });
  assert.deepEqual(late.told[0].data, { rows: ["a", "b"], resync: true });
});
