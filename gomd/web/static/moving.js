// Moves processes: by dragging one onto a node, or by the menu. A change asks once and shows its outcome.

import { change, path } from "./api.js";
import { nameOf, nodes, onNodes, stateOf } from "./cluster.js";
import { confirmed, dialog } from "./dialogs.js";
import { choice, field, h, say, setText } from "./dom.js";
import { load } from "./format.js";

const WAIT = 250; // milliseconds over a node before it is asked whether the process could move there
let dragged = null; // {what, id, node, reason}

/** Return whether something is being dragged: its row must stay. */
export const isDragging = () => dragged !== null;

/** Say what a process or job is, for a sentence. */
const words = (what) => `${what.kind} ${what.label} of ${what.user}`;

/** Let the element be dragged. `subject` returns {kind, label, user, id, node, reason}. */
export function draggable(element, subject) {
  element.draggable = true;
  element.addEventListener("dragstart", (event) => {
    dragged = subject();
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", dragged.id);
    setTimeout(() => { if (dragged) showTargets(); }); // not now: Chromium ends a drag whose page changes
  });
  element.addEventListener("dragend", () => {
    dragged = null;
    hideTargets();
  });
}

/** Let the element, which stands for a node, accept what is dragged. */
export function acceptDrops(element, node) {
  let timer = 0;
  const leave = () => {
    clearTimeout(timer);
    element.classList.remove("over");
  };
  element.addEventListener("dragover", (event) => {
    if (!dragged) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "move";
    if (element.classList.contains("over")) return;
    element.classList.add("over");
    timer = setTimeout(() => foresee(dragged, node), WAIT);
  });
  element.addEventListener("dragleave", leave);
  element.addEventListener("drop", (event) => {
    leave();
    if (!dragged) return;
    event.preventDefault();
    const subject = dragged;
    dragged = null;
    hideTargets();
    move(subject, String(node));
  });
}

const panel = () => document.getElementById("targets");
const MOST_TARGETS = 500;
let endTargets = null;
let foreseen = null;

function showTargets() {
  foreseen = h("p", { class: "foreseen" }, dragged.reason ? `It cannot move: ${dragged.reason}` :
    "Drop it on a node; hold it there to see whether it could move.");
  const list = h("ul", { role: "list" });
  const made = new Map();
  const more = h("li", {}, `These ${MOST_TARGETS} have the least load; name any other node in the process's menu, under Move.`);
  panel().replaceChildren(h("h2", {}, `Move ${words(dragged)} to`), foreseen, list);
  panel().hidden = false;
  endTargets = onNodes(() => {
    for (const node of [...nodes.values()].sort((a, b) => (a.load ?? 1e9) - (b.load ?? 1e9))) {
      if (!node.up || made.has(node.id)) continue;
      if (made.size >= MOST_TARGETS) {
        if (!more.isConnected) list.append(more);
        break;
      }
      const here = dragged && node.id === dragged.node;
      const element = h("li", { class: "target", "data-node": node.id, "data-state": stateOf(node)[1] },
        `${node.id} ${node.name}${here ? " (it runs there)" : ""}, load ${load(node.load)}`);
      acceptDrops(element, node.id);
      made.set(node.id, element);
      list.append(element);
    }
  });
}

function hideTargets() {
  endTargets?.();
  endTargets = null;
  panel().hidden = true;
  panel().replaceChildren();
}

async function foresee(subject, node) {
  const told = await canMove(subject, String(node));
  if (foreseen && subject === dragged) setText(foreseen, told);
}

/** Return a sentence: whether the process could move there, or what keeps it. */
async function canMove(subject, node) {
  try {
    await change(path("migrate"), { pid: subject.id, node, dry_run: true });
    return `It can move to ${named(node)}.`;
  } catch (error) {
    return `It cannot move to ${named(node)}: ${error.message}`;
  }
}

const named = (node) => (/^\d+$/.test(node) ? nameOf(Number(node)) : node === "home" ? "its home" : "the best node");

/** Ask once, move it, and show the outcome. */
export async function move(subject, node) {
  const outlook = h("p", { role: "status" }, "Looking whether it can move…");
  canMove(subject, node).then((told) => setText(outlook, told));
  const title = `Move ${words(subject)}?`;
  const text = `It runs on ${nameOf(subject.node)} and will go on at ${named(node)}, with all of its job.`;
  if (!(await confirmed(title, [h("p", {}, text), outlook], "Move"))) return;
  say(`Moving ${words(subject)} to ${named(node)}…`);
  try {
    const told = await change("migrate", { pid: subject.id, node });
    say(told.moved ? `${words(subject)} runs on ${nameOf(told.node)}, after ${told.seconds} s`
      : `${words(subject)} stays on ${nameOf(told.node)}`);
  } catch (error) {
    say(`${words(subject)} was not moved: ${error.message}`, true);
  }
}

/** Ask where to, by keyboard or menu, then as `move`. */
export async function moveSomewhere(subject) {
  const options = [["best", "the best node"], ["home", "its home"],
    ...[...nodes.values()].filter((node) => node.up && node.id !== subject.node)
      .sort((a, b) => a.id - b.id).map((node) => [String(node.id), `${node.id} ${node.name}, load ${load(node.load)}`])];
  const where = choice(options, "best");
  const outlook = h("p", { role: "status" });
  where.addEventListener("change", async () => setText(outlook, await canMove(subject, where.value)));
  const to = await dialog(`Where should ${words(subject)} go?`, [field("To", where), outlook], "Next", () => where.value);
  if (to) await move(subject, to);
}

/** Ask once, change something, and show the outcome. */
export async function changeOnce(title, text, verb, target, body, done) {
  if (!(await confirmed(title, [h("p", {}, text)], verb))) return false;
  try {
    const told = await change(target, body);
    say(typeof done === "function" ? done(told) : done);
    return true;
  } catch (error) {
    say(`${title.replace(/\?$/, "")}: ${error.message}`, true);
    return false;
  }
}
