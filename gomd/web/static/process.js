// One process: its values, and charts of the time for which this page is open, or of its past.

import { rows as rowsOf } from "./api.js";
import { nameOf } from "./cluster.js";
import { lineChart } from "./chart.js";
import { choice, field, h, setText } from "./dom.js";
import { bytes, duration, moment, number } from "./format.js";
import { draggable, move, moveSomewhere } from "./moving.js";
import { actOn, subjectOf, watchProcesses } from "./processes.js";

const HELD = "swap,descriptors,cgroup,container,gpu_memory";
const AGAIN = 5000; // milliseconds
const POINTS = 48; // moments that are asked for
const SPANS = { "": ["since this page was opened", 0], "15m": ["the last 15 minutes", 900], "1h": ["the last hour", 3600],
  "12h": ["the last 12 hours", 43200], "3d": ["the last 3 days", 259200] }; // the history keeps processes for 3 days

export function processView(main, options, setOptions, word) {
  const title = h("h1", {}, `Process ${word}`);
  const notice = h("p", { class: "notice", role: "status" }, "looking for it");
  const facts = h("dl", { class: "facts" });
  const charts = [lineChart("CPU %", (each) => number(each, 1)), lineChart("Memory", bytes)];
  const span = choice(Object.entries(SPANS).map(([name, [text]]) => [name, text]), options.span ?? "", { onchange: () => {
    options.span = span.value;
    setOptions(options);
    showPast();
  } });
  const known = h("p", { class: "notice", role: "status" });
  const buttons = h("div", { class: "buttons" });
  main.append(title, notice, facts, h("div", { class: "tools" }, field("Charts of", span)), known,
    h("div", { class: "charts" }, charts.map((each) => each.element)), buttons);
  let row = null;
  let held = {};
  let isThere = false;
  let turn = 0;
  let asking = 0;

  /** Ask for what no scan reads. An older gomd, or a process that has just ended, tells nothing. */
  async function askHeld() {
    clearTimeout(asking);
    if (isThere) [held = {}] = await rowsOf(`ps/${row.pid}?node=${row.node}&fields=${HELD}`).catch(() => []);
    if (asking !== null) asking = setTimeout(askHeld, AGAIN);
  }

  /** Ask what was known of it at many moments, one after the other: the history keeps the busiest of each scan. */
  async function showPast() {
    const now = turn += 1;
    for (const chart of charts) chart.show([]);
    setText(known, "");
    const seconds = SPANS[options.span]?.[1];
    if (!seconds || !row) return;
    const { pid, node, identity } = row;
    const [cpu, memory] = [[], []];
    for (let at = POINTS; at >= 0 && now === turn; at -= 1) {
      const time = Date.now() / 1000 - (at * seconds) / POINTS;
      let then = null;
      try {
        [then] = await rowsOf(`ps/${pid}?node=${node}&at=${time.toFixed(0)}&fields=cpu_percent,rss,identity`);
      } catch (error) {
        if (error.code !== 404) { // it was not there at that moment
          if (now === turn) setText(known, error.message);
          return;
        }
      }
      if (identity && then?.identity !== identity) then = null; // another process had this PID
      cpu.push([time, then?.cpu_percent ?? null]);
      memory.push([time, then?.rss ?? null]);
    }
    if (now !== turn) return;
    charts[0].show(cpu);
    charts[1].show(memory);
    if (!cpu.some(([, value]) => value !== null)) setText(known, `${nameOf(node)} remembers no values of it for that time: it keeps those of the busiest.`);
  }
  const end = watchProcesses(options.node ?? null, ({ rows }) => {
    const found = rows.find((each) => each.identity === word || (String(each.pid) === word && String(each.node) === options.node));
    isThere = Boolean(found);
    if (!found) {
      notice.textContent = row ? "it has ended, or its node does not answer" : "there is no such process now";
      return;
    }
    if (!row) {
      buttons.append(h("button", { type: "button", onclick: () => moveSomewhere(subjectOf(row)) }, "Move…"),
        h("button", { type: "button", onclick: () => move(subjectOf(row), "best") }, "Move to the best node"),
        h("button", { type: "button", onclick: () => actOn(row) }, "More actions…"));
      draggable(title, () => subjectOf(row));
    }
    const isFirst = !row;
    row = found;
    if (isFirst) {
      askHeld();
      if (options.span) showPast();
    }
    title.textContent = `Process ${row.pid} ${row.name}`;
    notice.textContent = row.cantmove ? `it cannot be moved: ${row.cantmove}` : "";
    const told = [["Node", nameOf(row.node)], ["Home", nameOf(row.home)], ["User", row.user], ["Parent", row.ppid],
      ["State", row.state], ["Threads", row.threads], ["Niceness", row.nice], ["Processor time", duration(row.cpu_seconds)],
      ["Started", moment(row.start_time)], ["Moves", row.nmigs], ["Locked", row.lock ? "yes" : "no"],
      ["Reads", row.read_rate === null || row.read_rate === undefined ? "-" : `${bytes(row.read_rate)}/s`],
      ["Writes", row.write_rate === null || row.write_rate === undefined ? "-" : `${bytes(row.write_rate)}/s`],
      ["In swap space", bytes(held.swap)], ["Open descriptors", held.descriptors], ["Container", held.container],
      ["Control group", held.cgroup], ...(held.gpu_memory ? [["Memory of GPUs", bytes(held.gpu_memory)]] : []),
      ["Identity", row.identity], ["Command", row.command]];
    facts.replaceChildren(...told.flatMap(([name, text]) => [h("dt", {}, name), h("dd", {}, String(text ?? "-"))]));
    if (options.span) return;
    charts[0].add(row.cpu_percent);
    charts[1].add(row.rss);
  }, (error) => { notice.textContent = error.error; });
  return () => { turn += 1; clearTimeout(asking); asking = null; end(); };
}
