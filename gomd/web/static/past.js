// The charts of a node: live, or over any span of its history.

import { rows } from "./api.js";
import { nameOf } from "./cluster.js";
import { lineChart, ratesOf } from "./chart.js";
import { choice, field, h, setText } from "./dom.js";
import { bytes, load, number } from "./format.js";

const SPANS = [["", "since this page was opened"], ["-15m", "the last 15 minutes"], ["-1h", "the last hour"],
  ["-12h", "the last 12 hours"], ["-1d", "the last day"], ["-7d", "the last 7 days"], ["-30d", "the last 30 days"],
  ["-365d", "the last year"], ["-730d", "the last two years"], ["own", "from … until …"]];
const rate = (each) => `${bytes(each)}/s`;
const percent = (each) => `${number(each, 1)}%`;
// field -> [title, format, whether it is a count that only grows]; those without history of other nodes come last
const CHARTS = {
  load: ["Load", load], mem: ["Available memory", bytes], busy_percent: ["Processors in use", percent],
  iowait_percent: ["Waiting for storage", percent], net_received_bytes: ["Network, received", rate, true],
  net_sent_bytes: ["Network, sent", rate, true], disk_read_bytes: ["Disks, read", rate, true],
  disk_written_bytes: ["Disks, written", rate, true],
};
const LIVE = ["load", "mem"];
const POINTS = 300;
const AGAIN = 15000; // milliseconds until a span that ends now is asked for again
const SHORTEST = 10; // seconds

/** Return seconds since the epoch of a time of a clock and calendar in an input, null for none. */
const secondsOf = (text) => (text && !Number.isNaN(Date.parse(text)) ? Date.parse(text) / 1000 : null);

/** Return what an input of date and time shows at this moment. */
function inputOf(seconds) {
  const at = new Date(seconds * 1000 - new Date(seconds * 1000).getTimezoneOffset() * 60000);
  return at.toISOString().slice(0, 19);
}

/** Return `element`, `add(node)` for live values, and `end`. */
export function nodeCharts(id, options, setOptions) {
  const charts = {};
  const box = h("div", { class: "charts" });
  const notice = h("p", { class: "notice", role: "status" });
  const span = choice(SPANS, options.span ?? "", { onchange: () => set({ span: span.value }) });
  const date = (name) => h("input", { type: "datetime-local", step: "1", value: options[name] ?? "",
    onchange: (event) => set({ [name]: event.target.value }) });
  const from = date("from"), until = date("until");
  const own = h("span", { class: "tools", hidden: true }, field("From", from), field("Until", until));
  for (const [name, [title, format]] of Object.entries(CHARTS)) {
    charts[name] = lineChart(title, format, (since, to) => {
      from.value = inputOf(since);
      until.value = inputOf(to);
      set({ span: "own", from: from.value, until: until.value });
    });
    box.append(charts[name].element);
  }
  let turn = 0;
  let timer = 0;

  function set(chosen) {
    Object.assign(options, chosen);
    setOptions(options);
    span.value = options.span;
    show();
  }

  /** Return the options of the request, null when there is nothing to ask for yet. */
  function asked() {
    if (options.span !== "own") return `since=${encodeURIComponent(options.span)}`;
    const [since, to] = [secondsOf(options.from), secondsOf(options.until) ?? Date.now() / 1000];
    if (since === null) return null;
    return to - since >= SHORTEST ? `since=${since}&until=${to}` : undefined;
  }

  async function show() {
    clearTimeout(timer);
    const now = turn += 1;
    const isLive = !options.span;
    own.hidden = options.span !== "own";
    setText(notice, "");
    for (const [name, chart] of Object.entries(charts)) {
      chart.element.hidden = isLive && !LIVE.includes(name);
      if (isLive || !chart.isPast) chart.show([]);
      chart.isPast = !isLive;
    }
    if (isLive) return;
    const query = asked();
    if (!query) {
      setText(notice, query === null ? "Choose when it begins." : "It has to end after it begins.");
      return;
    }
    try {
      const found = await rows(`history/${id}/${Object.keys(CHARTS).join(",")}?${query}&points=${POINTS}`);
      if (now !== turn) return;
      for (const [name, [, , grows]] of Object.entries(CHARTS)) {
        const points = found.filter((row) => row.field === name).map((row) => [row.time, row.mean, row.min, row.max]);
        charts[name].show(grows ? ratesOf(points) : points);
      }
      const by = found.find((row) => row.by !== id)?.by;
      setText(notice, !found.length ? "Nothing is known of that time." : by ? `As ${nameOf(by)} remembers it.` : "");
      if (options.span !== "own") timer = setTimeout(show, AGAIN);
    } catch (error) {
      if (now === turn) setText(notice, `The past of ${nameOf(id)}: ${error.message}`);
    }
  }

  const redraw = () => Object.values(charts).forEach((chart) => chart.draw());
  document.addEventListener("gomd-theme", redraw);
  show();
  return {
    element: h("section", { "aria-label": "Charts" }, h("div", { class: "tools" }, field("Charts of", span), own), notice, box),
    add(node) {
      if (options.span) return;
      for (const name of LIVE) charts[name].add(node.up ? node[name] : null);
    },
    end() {
      turn += 1;
      clearTimeout(timer);
      document.removeEventListener("gomd-theme", redraw);
    },
  };
}
