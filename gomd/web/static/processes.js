// The processes of the cluster: one table, selected in the browser, so that all tabs share one stream.

import { ApiError, key, rows as rowsOf } from "./api.js";
import { nameOf, nodes, onNodes } from "./cluster.js";
import { dialog } from "./dialogs.js";
import { choice, field, h } from "./dom.js";
import { bytes, duration, number } from "./format.js";
import { changeOnce, draggable, isDragging, moveSomewhere } from "./moving.js";
import { watch } from "./streams.js";
import { Table, sorted, turned } from "./table.js";

const FIELDS = "node,home,pid,ppid,user,state,cpu_percent,cpu_seconds,rss,threads,nice,nmigs,lock,cantmove,command,identity,name,where,start_time,read_rate,write_rate";
const MANY = 500; // nodes; of more the page asks for the busiest processes only, or for those of one node
const MOST_ROWS = 2000;
const NODES_PER_SECOND = 250;

/** Watch the processes: of all nodes in one stream for all tabs, or in a large cluster the busiest, or of `node`. */
export function watchProcesses(node, take, failed) {
  let end = null;
  const endNodes = onNodes(() => { // how many nodes there are decides what is asked for
    if (end) return;
    const ofNode = nodes.size > MANY && node !== null;
    const where = ofNode ? `node=${node}&n=2` : nodes.size <= MANY ? "node=all&n=2"
      : `node=all&top=20&sort=cpu&most=${MOST_ROWS}&n=${Math.ceil(nodes.size / NODES_PER_SECOND)}`;
    end = watch(`ps?${where}&fields=${FIELDS}`, take, failed);
  });
  return () => { endNodes(); end?.(); };
}

const MOST_ERRORS = 3; // of nodes, that are shown
const SIGNALS = ["TERM", "KILL", "HUP", "INT", "STOP", "CONT", "USR1", "USR2"];

const COLUMNS = [
  { key: "node", title: "Node", number: true, value: (row) => row.node, text: (row) => String(row.node) },
  { key: "pid", title: "PID", number: true, value: (row) => row.pid, text: (row) => String(row.pid) },
  { key: "user", title: "User", value: (row) => row.user, text: (row) => row.user },
  { key: "cpu", title: "CPU %", number: true, value: (row) => row.cpu_percent, text: (row) => number(row.cpu_percent, 1) },
  { key: "rss", title: "Memory", number: true, value: (row) => row.rss, text: (row) => bytes(row.rss) },
  { key: "time", title: "Time", number: true, value: (row) => row.cpu_seconds, text: (row) => duration(row.cpu_seconds) },
  { key: "state", title: "State", value: (row) => row.state, text: (row) => row.state + (row.lock ? " locked" : "") },
  { key: "command", title: "Command", wide: true, value: (row) => row.command || row.name },
  { key: "actions", title: "Actions", value: () => 0 },
];

/** Return the process as something that can be moved. */
export const subjectOf = (row) => ({
  kind: "process", label: `${row.pid} ${row.name}`, user: row.user, id: row.identity || String(row.pid), node: row.node,
  reason: row.cantmove,
});

const address = (row) => `#/process/${encodeURIComponent(row.identity || row.pid)}?node=${row.node}`;

/** Where to send a change: the node on which the process runs, unless its identity says it. */
const at = (verb, row) => (row.identity ? verb : `${verb}?node=${row.node}`);

export function processesView(main, options, setOptions, { node = null, title = "Processes" } = {}) {
  const jobIds = new Set();
  let all = [];
  let errors = [];
  let total = 0; // of all nodes, where only the busiest are shown
  const search = h("input", { type: "search", value: options.match ?? "", placeholder: "name, command or PID",
    oninput: () => set("match", search.value) });
  const user = h("input", { type: "text", value: options.user ?? "", size: "10", oninput: () => set("user", user.value) });
  const jobs = h("input", { type: "checkbox", checked: options.jobs === "1", onchange: () => set("jobs", jobs.checked ? "1" : "") });
  const kernel = h("input", { type: "checkbox", checked: options.kernel === "1", onchange: () => set("kernel", kernel.checked ? "1" : "") });
  const count = h("p", { class: "notice", role: "status" });
  const table = new Table({
    label: title, columns: COLUMNS, id: (row) => row.identity || `${row.node}-${row.pid}`, decorate,
    onSort: (key) => set("sort", turned(options.sort ?? "cpu", key)), hold: isDragging,
  });
  main.append(h(node === null ? "h1" : "h2", {}, title),
    h("div", { class: "tools" }, field("Search", search), field("User", user), field("Jobs only", jobs), field("Kernel threads", kernel)),
    count, table.element);

  function set(name, chosen) {
    options[name] = chosen;
    setOptions(options);
    show();
  }

  function decorate(each, row) {
    const [command, actions] = each.cells.slice(-2);
    if (each.isNew) {
      each.link = h("a", {});
      command.append(each.link);
      actions.append(h("button", { type: "button", "aria-haspopup": "dialog",
        onclick: () => actOn(each.row) }, "…"));
      draggable(each.element, () => subjectOf(each.row));
    }
    each.link.href = address(row);
    const text = row.command || `[${row.name}]`;
    if (each.link.textContent !== text) each.link.textContent = text;
    actions.firstChild.setAttribute("aria-label", `Actions for process ${row.pid} ${row.name}`);
    each.element.classList.toggle("stuck", Boolean(row.cantmove));
  }

  function show() {
    const text = (options.match ?? "").toLowerCase();
    const found = all.filter((row) => (node === null || row.node === node) &&
      (!options.user || row.user === options.user) && (options.jobs !== "1" || row.isJob) &&
      (options.kernel === "1" || row.rss || row.cpu_percent || row.command !== `[${row.name}]`) &&
      (!text || String(row.pid) === text || row.command.toLowerCase().includes(text) || row.name.toLowerCase().includes(text)));
    table.set(sorted(found, COLUMNS, options.sort ?? "cpu"), options.sort ?? "cpu");
    const own = errors.filter((each) => node === null || each.from === node);
    const more = own.length > MOST_ERRORS ? `; ${own.length - MOST_ERRORS} more nodes do not answer` : "";
    const some = total > all.length ? `, the busiest of ${total} on ${nodes.size} nodes: open a node for all of its own` : "";
    count.textContent = `${found.length} of ${all.length} processes${some}` +
      own.slice(0, MOST_ERRORS).map((each) => `; ${nameOf(each.from)}: ${each.error}`).join("") + more;
  }

  const end = watchProcesses(node, ({ rows }) => {
    total = rows.find((row) => row.total !== undefined)?.total ?? 0;
    errors = rows.filter((row) => row.error);
    all = rows.filter((row) => row.pid !== undefined);
    for (const row of all) row.isJob = row.nmigs > 0 || row.where !== 0 || row.home !== row.node || (row.identity && jobIds.has(row.identity));
    show();
  }, (error) => { count.textContent = error.error; });
  const endJobs = watchJobs((found) => {
    jobIds.clear();
    for (const job of found) if (job.identity) jobIds.add(job.identity);
  });
  return () => { end(); endJobs(); table.end(); };
}

/** Call `take` with the rows of the jobs, now and every few seconds; it returns what ends that. */
export function watchJobs(take, failed = () => {}) {
  let isOver = false;
  async function look() {
    if (!key()) failed(new ApiError(401, "Sign in to see your jobs."));
    else if (!document.hidden) {
      try {
        const found = await rowsOf("jobs");
        if (!isOver) take(found);
      } catch (error) {
        if (!isOver) failed(error);
      }
    }
  }
  look();
  const timer = setInterval(look, 2000);
  return () => { isOver = true; clearInterval(timer); };
}

/** The menu of a process. */
export async function actOn(row) {
  const what = `process ${row.pid} ${row.name} of ${row.user}`;
  const verb = choice([["move", "move it"], ["signal", "send a signal"], ["renice", "set its niceness"],
    row.lock ? ["unlock", "unlock it: balancing may move it"] : ["lock", "lock it: balancing leaves it"]], "move");
  const signal = choice(SIGNALS.map((name) => [name, name]), "TERM");
  const nice = h("input", { type: "number", min: "-20", max: "19", value: row.nice ?? 0 });
  const extra = h("div", {});
  const showExtra = () => extra.replaceChildren(...(verb.value === "signal" ? [field("Signal", signal)]
    : verb.value === "renice" ? [field("Niceness", nice)] : []));
  verb.addEventListener("change", showExtra);
  const reason = row.cantmove ? [h("p", { class: "notice" }, `It cannot be moved: ${row.cantmove}`)] : [];
  const chosen = await dialog(`What should happen to ${what}?`, [field("Action", verb), extra, ...reason], "Next", () => verb.value);
  const pid = row.identity || row.pid;
  if (chosen === "move") await moveSomewhere(subjectOf(row));
  else if (chosen === "signal") {
    await changeOnce(`Send ${signal.value} to ${what}?`, `It runs on ${nameOf(row.node)}.`, "Send", at("signal", row),
      { pid, sig: signal.value }, `sent ${signal.value} to ${what}`);
  } else if (chosen === "renice") {
    await changeOnce(`Set the niceness of ${what} to ${nice.value}?`, `It runs on ${nameOf(row.node)}.`, "Set",
      at("renice", row), { pid, n: Number(nice.value) }, `${what} has niceness ${nice.value}`);
  } else if (chosen) {
    await changeOnce(`${chosen === "lock" ? "Lock" : "Unlock"} ${what}?`, `It runs on ${nameOf(row.node)}.`,
      chosen === "lock" ? "Lock" : "Unlock", at(chosen, row), { pid }, `${what} is ${chosen}ed`);
  }
}
