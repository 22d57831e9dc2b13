// What is known of the nodes, from one stream for the whole page: their rows, and the loads of the last minutes.

import { watch } from "./streams.js";

const KEPT = 120;
export const nodes = new Map(); // id -> row
export const loads = new Map(); // id -> the last loads, oldest first
const listeners = new Set();
let refusal = null;

/** Call `listener` after each round, and now when there was one; it returns what ends that. */
export function onNodes(listener) {
  listeners.add(listener);
  if (nodes.size || refusal) listener(refusal);
  return () => listeners.delete(listener);
}

function tell() {
  for (const listener of listeners) listener(refusal);
}

export function begin() {
  watch("nodes?n=1", ({ rows }) => {
    refusal = null;
    const seen = new Set();
    for (const row of rows) {
      seen.add(row.id);
      nodes.set(row.id, row);
      let kept = loads.get(row.id);
      if (!kept) loads.set(row.id, kept = []);
      kept.push(row.up ? row.load : null);
      if (kept.length > KEPT) kept.shift();
    }
    for (const id of [...nodes.keys()]) if (!seen.has(id)) { nodes.delete(id); loads.delete(id); }
    tell();
  }, (error) => {
    refusal = error;
    nodes.clear();
    tell();
  });
}

const BITS = { stay: 4, lstay: 8, block: 16, quiet: 32 };
const STALE = 10; // seconds; of thousands of nodes the values come less often than that
const NODES_PER_SECOND = 50;

/** Return whether a switch of the node is set. */
export const has = (node, name) => (node.status & BITS[name]) !== 0;

/** Return the state of a node: its letter, its class and its word. */
export function stateOf(node) {
  if (!node.up) return ["D", "down", "down"];
  if (node.age !== null && node.age > Math.max(STALE, nodes.size / NODES_PER_SECOND)) return ["S", "stale", "stale: nothing was heard lately"];
  if (has(node, "block")) return ["B", "blocked", "blocked: takes no guests"];
  if (has(node, "stay")) return ["Y", "stay", "stay: nothing leaves it by balancing"];
  return ["U", "up", "up"];
}

/** Return how busy it is: idle, busy or hot, by the load for each processor. */
export function heatOf(node) {
  if (!node.up || node.load === null) return "none";
  const each = node.load / Math.max(1, node.cpus ?? 1);
  return each < 60 ? "idle" : each < 130 ? "busy" : "hot";
}

/** Return a node as people name it. */
export const nameOf = (id) => (nodes.has(id) ? `node ${id} ${nodes.get(id).name}` : `node ${id}`);
