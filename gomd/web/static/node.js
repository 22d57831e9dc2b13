// One node: its values, charts, switches, commands, the values of the tree, and its processes.

import { rows, value } from "./api.js";
import { nodes, onNodes, stateOf } from "./cluster.js";
import { field, h, setText } from "./dom.js";
import { bytes, duration, load } from "./format.js";
import { acceptDrops } from "./moving.js";
import { nodeCharts } from "./past.js";
import { processesView } from "./processes.js";
import { nodeSwitches } from "./switches.js";

export function nodeView(main, options, setOptions, word) {
  const id = Number(word);
  const title = h("h1", {}, `Node ${word}`);
  const state = h("p", { class: "notice", role: "status" });
  const facts = h("dl", { class: "facts" });
  const charts = nodeCharts(id, options, setOptions);
  const switches = nodeSwitches(id);
  const tree = h("pre", { class: "output", hidden: true, tabindex: "0" });
  const where = h("input", { type: "text", value: "/proc/hpc/nodes", size: "32" });
  acceptDrops(title, id);
  main.append(title, state, facts, charts.element, switches.element,
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
    switches.show(node);
    charts.add(node);
  });
  const endProcesses = processesView(main, options, setOptions, { node: id, title: "Its processes" });
  return () => { endNodes(); charts.end(); endProcesses(); };
}
