// What happens in the cluster: one stream for the whole page, with what happened before the page came.

import { watch } from "./streams.js";
import { nameOf } from "./cluster.js";
import { h } from "./dom.js";
import { moment } from "./format.js";

const KEPT = 1000;
const kept = [];
const listeners = new Set();
let refusal = null;

/** Call `listener` with all rows, oldest first, and whether the last one is new; it returns what ends that. */
export function onEvents(listener) {
  listeners.add(listener);
  listener(kept, false);
  return () => listeners.delete(listener);
}

export function begin() {
  watch("events?resync=1", ({ rows, resync }) => {
    refusal = null;
    if (resync) kept.length = 0;
    for (const row of rows) {
      kept.push(row);
      if (kept.length > KEPT) kept.shift();
      if (!resync) for (const listener of listeners) listener(kept, true);
    }
    if (resync) for (const listener of listeners) listener(kept, false);
  }, (error) => {
    refusal = error;
    kept.length = 0;
    for (const listener of listeners) listener(kept, false);
  });
}

/** Return one event as a line of a list. */
export function eventLine(row) {
  return h("li", { "data-kind": row.kind }, h("time", {}, moment(row.time)), " ", h("b", {}, row.kind), " ",
    h("a", { href: `#/node/${row.node}` }, row.name || nameOf(row.node)), " ", h("span", {}, row.reason));
}

export function eventsView(main, options, setOptions) {
  const list = h("ol", { class: "events long" });
  const search = h("input", { type: "search", value: options.search ?? "", oninput: () => {
    options.search = search.value;
    setOptions(options);
    show(kept);
  } });
  const notice = h("p", { class: "notice" });
  main.append(h("h1", {}, "Events"), h("div", { class: "tools" }, h("label", { class: "field" }, h("span", {}, "Search"), search)), notice, list);

  function show(rows) {
    const text = (options.search ?? "").toLowerCase();
    const found = rows.filter((row) => !text || `${row.kind} ${row.name} ${row.reason}`.toLowerCase().includes(text));
    list.replaceChildren(...found.slice(-300).reverse().map(eventLine));
    notice.textContent = refusal ? refusal.error : `${found.length} events, the newest first` +
      (found.length > 300 ? "; 300 are shown" : "");
  }
  return onEvents(show);
}
