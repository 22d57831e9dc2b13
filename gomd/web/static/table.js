// A table that shows thousands of rows: only those that can be seen are in the document.

import { h, setAttribute, setText } from "./dom.js";

const ROW = 30; // pixels, as in style.css
const SPARE = 8;

/**
 * A virtual table.
 *
 * `columns` are {key, title, text(row), number, wide}; `id(row)` is what a row is known by; `decorate(cells, row)`
 * may change a row that is shown; `sort` and `onSort` are the key of the order, "-" before it for the reverse.
 */
export class Table {
  constructor({ label, columns, id, decorate, onSort, hold = () => false }) {
    Object.assign(this, { columns, id, decorate, onSort, hold });
    this.rows = [];
    this.shown = new Map(); // id -> {element, cells, row}
    this.heads = columns.map((column) => {
      const button = h("button", { type: "button", onclick: () => onSort(column.key) }, column.title);
      return h("div", { role: "columnheader", class: `cell ${column.number ? "number" : ""} ${column.wide ? "wide" : ""}`, "data-key": column.key }, button);
    });
    this.space = h("div", { class: "space", role: "presentation" });
    this.body = h("div", { class: "scroll", tabindex: "0", role: "rowgroup", onscroll: () => this.show() }, this.space);
    this.element = h("div", { class: "table", role: "table", "aria-label": label },
      h("div", { role: "rowgroup" }, h("div", { class: "row head", role: "row", "aria-rowindex": "1" }, this.heads)), this.body);
    this.resized = new ResizeObserver(() => this.show());
    this.resized.observe(this.body);
  }

  set(rows, sort) {
    this.rows = rows;
    for (const head of this.heads) {
      const key = head.dataset.key;
      setAttribute(head, "aria-sort", sort === key ? "descending" : sort === `-${key}` ? "ascending" : null);
    }
    setAttribute(this.element, "aria-rowcount", String(rows.length + 1));
    const height = `${rows.length * ROW}px`;
    if (this.space.style.height !== height) this.space.style.height = height;
    this.show();
  }

  show() {
    if (this.hold()) return;
    const first = Math.max(0, Math.floor(this.body.scrollTop / ROW) - SPARE);
    const last = Math.min(this.rows.length, Math.ceil((this.body.scrollTop + this.body.clientHeight) / ROW) + SPARE);
    const wanted = new Set();
    for (let at = first; at < last; at += 1) wanted.add(this.id(this.rows[at]));
    for (const [id, each] of this.shown) {
      if (!wanted.has(id) && !each.element.contains(document.activeElement)) {
        each.element.remove();
        this.shown.delete(id);
      }
    }
    for (let at = first; at < last; at += 1) this.place(this.rows[at], at);
  }

  place(row, at) {
    const id = this.id(row);
    let each = this.shown.get(id);
    if (!each) {
      const cells = this.columns.map((column) =>
        h("div", { role: "cell", class: `cell ${column.number ? "number" : ""} ${column.wide ? "wide" : ""}` }));
      each = { cells, element: h("div", { class: "row", role: "row", "data-id": id }, cells), row };
      this.shown.set(id, each);
      this.space.append(each.element);
      each.isNew = true;
    }
    each.row = row;
    this.columns.forEach((column, number) => {
      if (column.text) setText(each.cells[number], column.text(row));
    });
    this.decorate?.(each, row);
    each.isNew = false;
    const top = `translateY(${at * ROW}px)`;
    if (each.element.style.transform !== top) each.element.style.transform = top;
    setAttribute(each.element, "aria-rowindex", String(at + 2));
  }

  end() {
    this.resized.disconnect();
  }
}

/** Return the order after a click on a column: the largest first, then the smallest. */
export const turned = (sort, key) => (sort === key ? `-${key}` : key);

/** Sort rows by a key of `columns`, which have `value(row)`. */
export function sorted(rows, columns, sort) {
  const key = sort.replace(/^-/, "");
  const column = columns.find((each) => each.key === key) ?? columns[0];
  const sign = (sort.startsWith("-") ? -1 : 1) * (column.number ? -1 : 1);
  const value = (row) => column.value(row) ?? (column.number ? -1 : "");
  return rows.map((row) => [value(row), row]).sort(([a], [b]) => (a < b ? -sign : a > b ? sign : 0)).map(([, row]) => row);
}
