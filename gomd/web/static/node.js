// One node: its values, charts, switches, commands, the values of the tree, and its processes.

import { change, path, rows, value } from "./api.js";
import { has, nameOf, nodes, onNodes, stateOf } from "./cluster.js";
import { lineChart } from "./chart.js";
import { dialog } from "./dialogs.js";
import { choice, field, h, say, setText } from "./dom.js";
import { bytes, duration, load } from "./format.js";
import { acceptDrops, changeOnce } from "./moving.js";
import { processesView } from "./processes.js";

const SPANS = [["", "since this page was opened"], ["-1h", "the last hour"], ["-1d", "the last day"],
  ["-30d", "the last 30 days"], ["-730d", "the last two years"]];
const FIELDS = ["load", "mem"];

export function nodeView(main, options, setOptions, word) {
  const id = Number(word);
  const title = h("h1", {}, `Node ${word}`);
  const state = h("p", { class: "notice", role: "status" });
  const facts = h("dl", { class: "facts" });
  const charts = { load: lineChart("Load", load), mem: lineChart("Available memory", bytes) };
  const span = choice(SPANS, options.span ?? "", { onchange: () => {
    options.span = span.value;
    setOptions(options);
    showHistory();
  } });
  const switches = h("div", { class: "buttons" });
  const tree = h("pre", { class: "output", hidden: true, tabindex: "0" });
  const where = h("input", { type: "text", value: "/proc/hpc/nodes", size: "32" });
  acceptDrops(title, id);
  main.append(title, state, facts,
    h("div", { class: "tools" }, field("Charts of", span)),
    h("div", { class: "charts" }, Object.values(charts).map((each) => each.element)), switches,
    h("form", { class: "tools", onsubmit: showTree }, field("A value of the tree", where), h("button", { type: "submit" }, "Show")), tree);

  async function showTree(event) {
    event.preventDefault();
    tree.hidden = false;
    const place = where.value.replace(/^\/+/, "");
    const encoded = place.split("/").map(encodeURIComponent).join("/");
    try {
      tree.textContent = (await value(`get/${encoded}?node=${id}`)).text;
    } catch (error) {
      try {
        if (error.code !== 405) throw error;
        tree.textContent = (await rows(`ls/${encoded}?node=${id}`)).map((row) => row.name).join("\n");
      } catch (refusal) {
        tree.textContent = refusal.message;
      }
    }
  }

  async function showHistory() {
    if (!span.value) return;
    try {
      const found = await rows(`history/${id}/${FIELDS.join(",")}?since=${span.value}&points=300`);
      for (const name of FIELDS) {
        charts[name].show(found.filter((row) => row.field === name).map((row) => [row.time, row.mean]));
      }
    } catch (error) {
      say(`the past of ${nameOf(id)}: ${error.message}`, true);
      span.value = "";
    }
  }

  const flip = (name, on, does) => {
    const node = nodes.get(id);
    const verb = on ? name : `no${name}`;
    changeOnce(`${on ? "Set" : "Clear"} ${name} on ${nameOf(id)}?`, does, on ? "Set" : "Clear", `${verb}?node=${id}`, {},
      `${node?.name ?? word}: ${verb}`);
  };
  const drain = (verb, does) => changeOnce(`${verb === "bring" ? "Bring home" : "Expel"} on ${nameOf(id)}?`, does,
    verb === "bring" ? "Bring" : "Expel", `${verb}?node=${id}`, {}, (told) => `${nameOf(id)}: ${told.moved} jobs moved`);

  async function command() {
    const name = h("input", { type: "text", required: true });
    const shown = h("pre", { class: "output", tabindex: "0" });
    await dialog(`Run a command of [commands] on ${nameOf(id)}`, [field("Its name", name), shown], "Run", async () => {
      const told = await change(`${path("do", name.value)}?node=${id}`);
      shown.textContent = told.map((row) => row.line ?? `exit ${row.exit}`).join("\n");
      throw new Error("that was its output; run it again, or close this");
    });
  }

  const buttons = {};
  for (const [name, label, does] of [
    ["stay", "stay", "Nothing leaves it by balancing while it is set."],
    ["lstay", "lstay", "Nothing that was started there leaves it by balancing while it is set."],
    ["block", "block", "It takes no guests while it is set."],
    ["quiet", "quiet", "It does not tell others its load while it is set."],
  ]) {
    buttons[name] = h("button", { type: "button", "aria-pressed": "false",
      onclick: () => flip(name, buttons[name].getAttribute("aria-pressed") === "false", does) }, label);
  }
  switches.append(...Object.values(buttons),
    h("button", { type: "button", onclick: () => drain("bring", "All of its jobs that run elsewhere come home, and it is set to stay.") }, "bring…"),
    h("button", { type: "button", onclick: () => drain("expel", "All guests leave it, and it is set to block.") }, "expel…"),
    h("button", { type: "button", onclick: command }, "commands…"));

  const endNodes = onNodes((refusal) => {
    const node = nodes.get(id);
    if (!node) {
      setText(state, refusal ? refusal.error : "there is no such node now");
      return;
    }
    setText(title, `${node.name}, node ${id}`);
    setText(state, stateOf(node)[2]);
    const told = [["Load", load(node.load)], ["Processors", node.cpus], ["Speed", node.speed], ["Usable", `${node.util ?? "-"}%`],
      ["Memory", `${bytes(node.mem)} of ${bytes(node.tmem)} available, ${bytes(node.rmem)} free`],
      ["Address", node.address], ["Measured", node.age === null ? "-" : `${duration(node.age)} ago`]];
    facts.replaceChildren(...told.flatMap(([name, text]) => [h("dt", {}, name), h("dd", {}, String(text ?? "-"))]));
    for (const [name, button] of Object.entries(buttons)) button.setAttribute("aria-pressed", String(has(node, name)));
    if (!span.value) {
      charts.load.add(node.up ? node.load : null);
      charts.mem.add(node.up ? node.mem : null);
    }
  });
  showHistory();
  const endProcesses = processesView(main, options, setOptions, { node: id, title: "Its processes" });
  return () => { endNodes(); endProcesses(); };
}
