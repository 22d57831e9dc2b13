// Reads the event streams of all tabs of this browser. Each stream is open once, however many tabs want it: a
// browser opens six connections to a host, and would let the seventh tab hang.

const MOST_STREAMS = 5; // one connection stays free for requests
const QUIET = 40000; // milliseconds without a byte, heartbeats come every 15 s
const TICK = 5000;
const SILENT_TAB = 30000;
const streams = new Map(); // "path key" -> Stream
const tabs = new Set();
let lastTick = Date.now();

class Stream {
  constructor(path, key) {
    this.path = path;
    this.key = key;
    this.readers = new Map(); // tab -> ids
    this.last = null; // the newest whole round
    this.pause = 1000;
    this.run();
  }

  tell(message) {
    for (const [tab, ids] of this.readers) for (const id of ids) tab.port.postMessage({ id, ...message });
  }

  async run() {
    while (!this.ended) {
      this.reader = new AbortController();
      this.heard = Date.now();
      try {
        const headers = this.key ? { "X-Gomd-Session": this.key } : {};
        const answer = await fetch(this.path, {
          headers, signal: this.reader.signal, credentials: "same-origin", cache: "no-store",
        });
        if (!answer.ok) {
          const told = await answer.json().catch(() => ({ code: answer.status, error: `status ${answer.status}` }));
          this.tell({ event: answer.status === 401 && this.key ? "signed-out" : "failed", data: told });
          if (answer.status < 500 && answer.status !== 429) return this.end();
        } else {
          this.tell({ event: "open" });
          this.pause = 1000;
          await this.read(answer.body.getReader());
        }
      } catch { /* it is begun again below */ }
      if (this.ended) return;
      this.last = null;
      this.tell({ event: "lost" });
      await new Promise((resolve) => { this.wake = resolve; setTimeout(resolve, this.pause); });
      this.pause = Math.min(2 * this.pause, 10000);
    }
  }

  async read(bytes) {
    const text = new TextDecoder();
    let rest = "", pieces = [];
    for (;;) {
      const { done, value } = await bytes.read();
      if (done) return;
      this.heard = Date.now();
      pieces.push(text.decode(value, { stream: true }));
      if (!pieces[pieces.length - 1].includes("\n")) continue;
      rest += pieces.join("");
      pieces = [];
      const messages = rest.split("\n\n");
      rest = messages.pop();
      for (const message of messages) this.take(message);
    }
  }

  take(message) {
    let event = "message", data = null;
    for (const line of message.split("\n")) {
      if (line.startsWith("event: ")) event = line.slice(7);
      else if (line.startsWith("data: ")) data = JSON.parse(line.slice(6));
    }
    if (data === null) return;
    if (event === "message") this.last = this.path.includes("/watch/events") ? this.recent(data) : data;
    this.tell({ event, data });
    if (event === "exit" || event === "signed-out") this.end();
  }

  recent(data) { // the latest events, for a tab that comes later
    const rows = data.resync ? data.rows : [...(this.last?.rows ?? []), ...data.rows];
    return { rows: rows.slice(-1000), resync: true };
  }

  end() {
    this.ended = true;
    this.reader?.abort();
    if (streams.get(`${this.path} ${this.key}`) === this) streams.delete(`${this.path} ${this.key}`);
  }

  again() {
    this.pause = 1000;
    this.reader?.abort();
    this.wake?.();
  }
}

function subscribe(tab, { id, path, key }) {
  const name = `${path} ${key}`;
  let stream = streams.get(name);
  if (stream && path.includes("/watch/attach/")) stream = undefined; // its beginning is gone
  if (!stream) {
    if (streams.size >= MOST_STREAMS) {
      const error = "too much is open in other tabs of this browser: close one";
      tab.port.postMessage({ id, event: "failed", data: { code: 429, error } });
      return;
    }
    streams.get(name)?.end();
    stream = new Stream(path, key);
    streams.set(name, stream);
  }
  if (!stream.readers.has(tab)) stream.readers.set(tab, new Set());
  stream.readers.get(tab).add(id);
  tab.streams.set(id, stream);
  if (stream.last !== null) tab.port.postMessage({ id, event: "message", data: stream.last });
}

function unsubscribe(tab, id) {
  const stream = tab.streams.get(id);
  if (!stream) return;
  tab.streams.delete(id);
  const ids = stream.readers.get(tab);
  ids?.delete(id);
  if (!ids?.size) stream.readers.delete(tab);
  if (!stream.readers.size) stream.end();
}

function leave(tab) {
  for (const id of [...tab.streams.keys()]) unsubscribe(tab, id);
}

setInterval(() => {
  const now = Date.now();
  const slept = now - lastTick > 4 * TICK;
  lastTick = now;
  for (const stream of streams.values()) {
    if (slept || now - stream.heard > QUIET) stream.again(); // whatever was missed comes with the next round
  }
  if (slept) for (const tab of tabs) tab.heard = now;
  for (const tab of tabs) {
    if (now - tab.heard > SILENT_TAB) { leave(tab); tabs.delete(tab); } // closed, or frozen: rounds would pile up
  }
}, TICK);

function join(port) {
  const tab = { port, streams: new Map(), heard: Date.now() };
  tabs.add(tab);
  port.onmessage = ({ data }) => {
    tab.heard = Date.now();
    if (!tabs.has(tab)) {
      tabs.add(tab);
      if (data.do === "here") port.postMessage({ event: "forgotten" }); // it was frozen, and wants its streams again
    }
    if (data.do === "subscribe") subscribe(tab, data);
    else if (data.do === "unsubscribe") unsubscribe(tab, data.id);
    else if (data.do === "leave") leave(tab);
    else if (data.do === "count") port.postMessage({ id: data.id, event: "count", data: streams.size });
  };
}

if ("SharedWorkerGlobalScope" in self) self.onconnect = (event) => join(event.ports[0]);
else join(self); // a browser without shared workers: one worker a tab
