// Every node a tile: name, state, load, memory, age. One canvas has the sparklines of the tiles that can be seen
// and the migrations as lines.

import { heatOf, loads, nodes, onNodes, stateOf } from "./cluster.js";
import { choice, field, h, setAttribute, setText } from "./dom.js";
import { eventLine, onEvents } from "./events.js";
import { bytes, duration, load, memoryUsed } from "./format.js";
import { acceptDrops } from "./moving.js";

const ORDERS = {
  name: (a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.id - b.id),
  id: (a, b) => a.id - b.id,
  load: (a, b) => (b.load ?? -1) - (a.load ?? -1) || a.id - b.id,
  memory: (a, b) => (memoryUsed(b) ?? -1) - (memoryUsed(a) ?? -1) || a.id - b.id,
  state: (a, b) => stateOf(a)[0].localeCompare(stateOf(b)[0]) || a.id - b.id,
};
const GROUPS = {
  none: () => "",
  state: (node) => stateOf(node)[1],
  name: (node) => node.name.replace(/[-_.]?\d+$/, "") || "-",
};
const LINE_MS = 8000;
const MOST_TILES = 2000; // more of them a browser does not lay out in time

/** Return the age of the values in whole seconds, for those that are older than a round. */
const ageOf = (node) => (node.age === null || node.age < 2 ? "" : `, ${Math.floor(node.age)}s old`);

class Tile {
  constructor(id) {
    this.badge = h("span", { class: "badge", "aria-hidden": "true" });
    this.name = h("span", { class: "name" });
    this.load = h("b", {});
    this.memory = h("b", {});
    this.bar = h("i", {});
    this.age = h("span", { class: "age" });
    this.words = h("span", { class: "unseen" });
    this.link = h("a", { class: "tile", href: `#/node/${id}` },
      h("span", { class: "top" }, this.badge, this.name, this.words),
      h("span", { class: "values" }, h("span", {}, "load ", this.load), h("span", {}, "mem ", this.memory)),
      h("span", { class: "bar", "aria-hidden": "true" }, this.bar), this.age);
    this.element = h("li", {}, this.link);
    acceptDrops(this.link, id);
  }

  show(node) {
    const [letter, state, words] = stateOf(node);
    const used = memoryUsed(node);
    setAttribute(this.link, "data-state", state);
    setAttribute(this.link, "data-heat", heatOf(node));
    setText(this.badge, letter);
    setText(this.name, node.name);
    setText(this.load, node.up ? load(node.load) : "-");
    setText(this.memory, used === null || !node.up ? "-" : `${Math.round(100 * used)}%`);
    const width = node.up && used !== null ? `${Math.round(100 * used)}%` : "0";
    if (this.bar.style.width !== width) this.bar.style.width = width;
    setText(this.age, node.up ? (state === "stale" ? `as it was ${duration(node.age)} ago` : `node ${node.id}${ageOf(node)}`) : "down");
    setText(this.words, words);
    setAttribute(this.link, "title", `${node.name} (node ${node.id}, ${node.address}): ${words}`);
  }
}

export function overview(main, options, setOptions) {
  const tiles = new Map();
  const groups = new Map(); // name -> {section, list}
  const totals = h("p", { class: "totals" });
  const board = h("div", { class: "board" });
  const canvas = h("canvas", { class: "ink", "aria-hidden": "true" });
  const notice = h("p", { class: "notice", hidden: true });
  const latest = h("ol", { class: "events" });
  const search = h("input", { type: "search", value: options.search ?? "", placeholder: "name, id or address",
    oninput: () => set("search", search.value) });
  const sort = choice([["name", "name"], ["id", "id"], ["load", "load"], ["memory", "memory"], ["state", "state"]],
    options.sort ?? "name", { onchange: () => set("sort", sort.value) });
  const group = choice([["none", "nothing"], ["state", "state"], ["name", "name"]],
    options.group ?? "none", { onchange: () => set("group", group.value) });
  const lines = []; // migrations: {from, to, until}
  let order = "";

  function set(name, value) {
    options[name] = value;
    setOptions(options);
    show();
  }

  main.append(
    h("h1", {}, "Nodes"), totals, notice,
    h("div", { class: "tools" }, field("Search", search), field("Sort by", sort), field("Group by", group)),
    h("div", { class: "inked" }, canvas, board),
    h("section", { "aria-label": "Latest events" }, h("h2", {}, "Latest events"), latest),
  );

  function chosen() {
    const text = (options.search ?? "").toLowerCase();
    return [...nodes.values()].filter((node) => !text || node.name.toLowerCase().includes(text) ||
      String(node.id) === text || node.address.includes(text));
  }

  function show(refusal = null) {
    const all = chosen().sort(ORDERS[options.sort] ?? ORDERS.name);
    const found = all.slice(0, MOST_TILES);
    const many = all.length > MOST_TILES ? `${all.length} nodes are too many for tiles: these are the first ${MOST_TILES} by ` +
      `${sort.value}. Search for others, or sort by load.` : "";
    setText(notice, refusal ? refusal.error : many);
    notice.hidden = !refusal && !many;
    const groupOf = GROUPS[options.group] ?? GROUPS.none;
    const placed = found.map((node) => [node, groupOf(node)]);
    const shape = placed.map(([node, name]) => `${node.id} ${name}`).join("\n");
    if (shape !== order) { // only a change of the order touches the layout
      order = shape;
      arrange(placed);
    }
    for (const node of found) tiles.get(node.id).show(node);
    showTotals();
    draw();
  }

  function arrange(placed) {
    const wanted = new Map();
    for (const [node, name] of placed) {
      if (!wanted.has(name)) wanted.set(name, []);
      wanted.get(name).push(node.id);
    }
    for (const [name, each] of groups) if (!wanted.has(name)) { each.section.remove(); groups.delete(name); }
    const kept = new Set(placed.map(([node]) => node.id));
    for (const [id, tile] of tiles) if (!kept.has(id)) { tile.element.remove(); tiles.delete(id); }
    for (const [name, ids] of wanted) {
      let each = groups.get(name);
      if (!each) {
        const list = h("ul", { class: "tiles", role: "list" });
        each = { list, section: h("section", { "aria-label": name || "all nodes" }, name ? h("h2", {}, name) : null, list) };
        groups.set(name, each);
      }
      board.append(each.section);
      each.list.replaceChildren(...ids.map((id) => {
        if (!tiles.has(id)) tiles.set(id, new Tile(id));
        return tiles.get(id).element;
      }));
    }
  }

  function showTotals() {
    let up = 0, cpus = 0, sum = 0, total = 0, free = 0;
    for (const node of nodes.values()) {
      if (!node.up) continue;
      up += 1;
      cpus += node.cpus ?? 0;
      sum += node.load ?? 0;
      total += node.tmem ?? 0;
      free += node.mem ?? 0;
    }
    setText(totals, `${up} of ${nodes.size} nodes up, ${cpus} processors, load ${load(sum)}, ` +
      `memory ${bytes(total - free)} of ${bytes(total)} in use`);
  }

  function draw() {
    const scale = devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
    }
    const ink = canvas.getContext("2d");
    ink.setTransform(scale, 0, 0, scale, 0, 0);
    ink.clearRect(0, 0, width, height);
    const style = getComputedStyle(canvas);
    const origin = canvas.getBoundingClientRect();
    const places = new Map();
    for (const [id, tile] of tiles) places.set(id, tile.link.getBoundingClientRect());
    ink.strokeStyle = style.color;
    ink.lineWidth = 1;
    ink.globalAlpha = 0.55;
    ink.beginPath();
    for (const [id, place] of places) {
      if (place.bottom < 0 || place.top > innerHeight) continue;
      const kept = loads.get(id) ?? [];
      const most = Math.max(100, ...kept.map((value) => value ?? 0));
      const left = place.left - origin.left + 6, bottom = place.bottom - origin.top - 6;
      const step = (place.width - 12) / 119;
      let drawn = false;
      kept.forEach((value, at) => {
        if (value === null) { drawn = false; return; }
        const x = left + (119 - kept.length + 1 + at) * step, y = bottom - (value / most) * 14;
        if (drawn) ink.lineTo(x, y); else ink.moveTo(x, y);
        drawn = true;
      });
    }
    ink.stroke();
    ink.globalAlpha = 1;
    const now = Date.now();
    while (lines.length && lines[0].until < now) lines.shift();
    ink.strokeStyle = ink.fillStyle = style.outlineColor;
    ink.lineWidth = 3;
    for (const { from, to } of lines) arrow(ink, places.get(from), places.get(to), origin);
  }

  function arrow(ink, from, to, origin) {
    if (!from || !to) return;
    const middle = ({ left, top, width, height }) => [left + width / 2 - origin.left, top + height / 2 - origin.top];
    const [x0, y0] = middle(from), [x1, y1] = middle(to);
    const angle = Math.atan2(y1 - y0, x1 - x0);
    ink.beginPath();
    ink.moveTo(x0, y0);
    ink.lineTo(x1, y1);
    ink.stroke();
    ink.beginPath();
    ink.moveTo(x1, y1);
    for (const turn of [2.7, -2.7]) ink.lineTo(x1 + 14 * Math.cos(angle + turn), y1 + 14 * Math.sin(angle + turn));
    ink.fill();
  }

  const onScroll = () => requestAnimationFrame(draw);
  addEventListener("scroll", onScroll, { passive: true });
  addEventListener("resize", onScroll);
  const ends = [
    onNodes(show),
    onEvents((rows, isNew) => {
      latest.replaceChildren(...rows.slice(-8).reverse().map(eventLine));
      const last = rows[rows.length - 1];
      // The node that a process left reports what the move took; that is where the line begins.
      if (isNew && last?.kind === "migrated" && last.by !== last.node) {
        lines.push({ from: last.by, to: last.node, until: Date.now() + LINE_MS });
        draw();
      }
    }),
    () => { removeEventListener("scroll", onScroll); removeEventListener("resize", onScroll); },
  ];
  return () => ends.forEach((end) => end());
}
