// Jobs: their table, starting one, and one job with its output as it is written.

import { change, key } from "./api.js";
import { nameOf, nodes } from "./cluster.js";
import { dialog } from "./dialogs.js";
import { choice, field, h, say } from "./dom.js";
import { bytes, moment } from "./format.js";
import { changeOnce, draggable, isDragging, move, moveSomewhere } from "./moving.js";
import { watchJobs } from "./processes.js";
import { watch } from "./streams.js";
import { Table, sorted, turned } from "./table.js";

const MOST_SHOWN = 400000; // characters of output in the document

const COLUMNS = [
  { key: "job", title: "Job", number: true, value: (row) => row.job },
  { key: "state", title: "State", value: (row) => row.state, text: (row) => row.state + (row.exit === null ? "" : ` ${row.exit}`) },
  { key: "node", title: "Node", number: true, value: (row) => row.node, text: (row) => String(row.node) },
  { key: "home", title: "Home", number: true, value: (row) => row.home, text: (row) => String(row.home) },
  { key: "user", title: "User", value: (row) => row.user, text: (row) => row.user },
  { key: "moves", title: "Moves", number: true, value: (row) => row.nmigs, text: (row) => String(row.nmigs) },
  { key: "started", title: "Started", number: true, value: (row) => row.started, text: (row) => moment(row.started).slice(5) },
  { key: "command", title: "Command", wide: true, value: (row) => row.command, text: (row) => row.command },
];

const isRunning = (row) => row.state === "running";
const subjectOf = (row) => ({
  kind: "job", label: `${row.job} ${row.command.slice(0, 40)}`, user: row.user, id: row.identity || String(row.pid), node: row.node,
  reason: row.cantmove,
});

export function jobsView(main, options, setOptions) {
  let all = [];
  const notice = h("p", { class: "notice", role: "status" });
  const search = h("input", { type: "search", value: options.match ?? "", oninput: () => {
    options.match = search.value;
    setOptions(options);
    show();
  } });
  const table = new Table({
    label: "Jobs", columns: COLUMNS, id: (row) => String(row.job), hold: isDragging,
    onSort: (key) => {
      options.sort = turned(options.sort ?? "job", key);
      setOptions(options);
      show();
    },
    decorate: (each, row) => {
      if (each.isNew) {
        each.cells[0].append(h("a", { href: `#/job/${row.job}`, "aria-label": `Job ${row.job}` }, String(row.job)));
        draggable(each.element, () => subjectOf(each.row));
      }
      each.element.draggable = isRunning(row);
    },
  });
  main.append(h("h1", {}, "Jobs"),
    h("div", { class: "tools" }, field("Search", search), h("button", { type: "button", class: "primary", onclick: startOne }, "Start a job…")),
    notice, table.element);

  function show() {
    const text = (options.match ?? "").toLowerCase();
    const found = all.filter((row) => !text || `${row.job} ${row.user} ${row.state} ${row.command}`.toLowerCase().includes(text));
    table.set(sorted(found, COLUMNS, options.sort ?? "job"), options.sort ?? "job");
  }
  const end = watchJobs((found) => {
    all = found;
    notice.textContent = `${found.filter(isRunning).length} of ${found.length} jobs run`;
    show();
  }, (error) => { notice.textContent = error.message; });
  return () => { end(); table.end(); };
}

/** Split a command line into words, as a shell would with quotes alone: nothing of it is executed by a shell. */
export function wordsOf(text) {
  const words = [];
  for (const match of text.matchAll(/(?:[^\s"']+|"[^"]*"|'[^']*')+/g)) {
    words.push(match[0].replace(/"([^"]*)"|'([^']*)'/g, (_all, double, single) => double ?? single));
  }
  return words;
}

async function startOne() {
  const command = h("input", { type: "text", required: true, size: "50", placeholder: "sh -c 'make -j4'" });
  const cwd = h("input", { type: "text", placeholder: "your home directory", size: "50" });
  const node = choice([["", "the best node"], ...[...nodes.values()].filter((each) => each.up).sort((a, b) => a.id - b.id)
    .map((each) => [String(each.id), `${each.id} ${each.name}`])], "");
  const memory = h("input", { type: "number", min: "1", placeholder: "MiB" });
  const told = await dialog("Start a job", [
    h("p", {}, "It runs as you, detached: its output is kept."),
    field("Command", command), field("Directory", cwd), field("On", node), field("Memory it needs, MiB", memory),
  ], "Start", () => {
    const body = { argv: wordsOf(command.value) };
    if (cwd.value) body.cwd = cwd.value;
    if (node.value) body.node = node.value;
    if (memory.value) body.mem = Number(memory.value) * 1048576;
    return change("run", body);
  });
  if (told) {
    say(`job ${told.job} runs on ${nameOf(told.node)}`);
    location.hash = `#/job/${told.job}`;
  }
}

export function jobView(main, options, setOptions, word) {
  const title = h("h1", {}, `Job ${word}`);
  const facts = h("dl", { class: "facts" });
  const output = h("pre", { class: "output", tabindex: "0", "aria-label": `Output of job ${word}` });
  const notice = h("p", { class: "notice", role: "status" });
  const buttons = h("div", { class: "buttons" });
  const at = { stdout: 0, stderr: 0 };
  let row = null;
  main.append(title, facts, buttons, h("h2", {}, "Output"), notice, output);

  function fill() {
    const act = (label, does) => h("button", { type: "button", onclick: does }, label);
    buttons.replaceChildren(
      act("Move…", () => moveSomewhere(subjectOf(row))),
      act("Move to the best node", () => move(subjectOf(row), "best")),
      act(row.lock ? "Unlock" : "Lock", () => changeOnce(`${row.lock ? "Unlock" : "Lock"} job ${row.job}?`,
        row.lock ? "Balancing may move it." : "Balancing leaves it where it is.", row.lock ? "Unlock" : "Lock",
        row.lock ? "unlock" : "lock", { pid: row.identity || row.pid }, `job ${row.job} is ${row.lock ? "unlocked" : "locked"}`)),
      act("End it", () => changeOnce(`End job ${row.job} of ${row.user}?`, "It gets the signal TERM.", "End it", "kill", { job: row.job }, `job ${row.job} got TERM`)),
      act("Kill it", () => changeOnce(`Kill job ${row.job} of ${row.user}?`, "It gets the signal KILL, and cannot tidy up.", "Kill it", "kill",
        { job: row.job, sig: "KILL" }, `job ${row.job} got KILL`)),
    );
  }

  const endJobs = watchJobs((found) => {
    const now = found.find((each) => String(each.job) === word);
    if (!now) {
      notice.textContent = "there is no such job of yours";
      return;
    }
    const changed = !row || row.lock !== now.lock || isRunning(row) !== isRunning(now);
    row = now;
    if (changed) {
      if (isRunning(row)) fill();
      else buttons.replaceChildren();
      draggable(title, () => subjectOf(row));
      title.draggable = isRunning(row);
    }
    title.textContent = `Job ${row.job}`;
    const told = [["State", row.state + (row.exit === null ? "" : `, exit ${row.exit}`)], ["Node", nameOf(row.node)],
      ["Home", nameOf(row.home)], ["User", row.user], ["Started", moment(row.started)], ["Ended", moment(row.ended)],
      ["Moves", row.nmigs], ["Limit of memory", bytes(row.memory_max)], ["What keeps it", row.cantmove || "nothing"], ["Command", row.command]];
    facts.replaceChildren(...told.flatMap(([name, text]) => [h("dt", {}, name), h("dd", {}, String(text ?? "-"))]));
  }, (error) => { notice.textContent = error.message; });

  const end = !key() ? () => {} : watch(() => `attach/${encodeURIComponent(word)}?stdout=${at.stdout}&stderr=${at.stderr}`, (data, event) => {
    if (event === "stdout" || event === "stderr") {
      at[event] = data.at;
      const follows = output.scrollTop + output.clientHeight >= output.scrollHeight - 8;
      output.append(h("span", { class: event }, data.text));
      let size = output.textContent.length;
      while (size > MOST_SHOWN && output.childNodes.length > 1) {
        size -= output.firstChild.textContent.length;
        output.firstChild.remove();
      }
      if (follows) output.scrollTop = output.scrollHeight;
    } else if (event === "lost") {
      output.append(h("em", {}, "\n(earlier output is not kept any more)\n"));
    } else if (event === "exit") {
      notice.textContent = `it has ended, exit ${data.exit}${data.reason ? `: ${data.reason}` : ""}`;
    }
  }, (error) => { notice.textContent = error.error; });
  return () => { endJobs(); end(); };
}
