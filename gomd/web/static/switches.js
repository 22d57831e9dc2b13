// The switches of a node with who set them and why; bring and expel, and the commands of [commands].

import { change, path, rows } from "./api.js";
import { has, nameOf, nodes } from "./cluster.js";
import { dialog } from "./dialogs.js";
import { field, h, say } from "./dom.js";
import { moment } from "./format.js";

const LONGEST = 200; // characters of a reason, as gomd takes them
const SWITCHES = {
  stay: "Nothing leaves it by balancing while it is set.",
  lstay: "Nothing that was started there leaves it by balancing while it is set.",
  block: "It takes no guests while it is set.",
  quiet: "It does not tell others its load while it is set.",
};

/** Return `element`, and `show(node)`, called whenever the values of the node are new. */
export function nodeSwitches(id) {
  const notes = h("ul", { class: "reasons", "aria-label": "Why switches are set" });
  const buttons = {};
  let status = null;

  async function showNotes() {
    try {
      const found = await rows(`switches?node=${id}`);
      notes.replaceChildren(...found.filter((each) => each.set && each.since !== null).map((each) => h("li", {},
        h("b", {}, each.switch), ` was set ${moment(each.since)}${each.by ? ` by ${each.by}` : ""}`,
        each.reason ? `: ${each.reason}` : "")));
    } catch { // a node that is down, or an older gomd
      notes.replaceChildren();
    }
  }

  /** Ask once, and for a reason; then send the verb. */
  async function order(verb, title, does, label, done) {
    const reason = h("input", { type: "text", maxlength: String(LONGEST), size: "50" });
    const told = await dialog(title, [h("p", {}, does), field("Reason, for those who look later", reason)], label, () => {
      const why = reason.value.trim();
      return change(`${verb}?node=${id}`, why ? { reason: why } : {}).then((value) => value ?? {});
    });
    if (!told) return;
    say(done(told));
    showNotes();
  }

  const flip = (name) => {
    const on = !has(nodes.get(id) ?? { status: 0 }, name);
    const verb = on ? name : `no${name}`;
    const label = on ? "Set" : "Clear";
    return order(verb, `${label} ${name} on ${nameOf(id)}?`, SWITCHES[name], label, () => `${nameOf(id)}: ${verb}`);
  };
  const drain = (verb, title, does, label) => order(verb, `${title} ${nameOf(id)}?`, does, label,
    (told) => `${nameOf(id)}: ${told.moved} jobs moved`);

  async function command() {
    const name = h("input", { type: "text", required: true });
    const shown = h("pre", { class: "output", tabindex: "0" });
    await dialog(`Run a command of [commands] on ${nameOf(id)}`, [field("Its name", name), shown], "Run", async () => {
      const told = await change(`${path("do", name.value)}?node=${id}`);
      shown.textContent = told.map((row) => row.line ?? `exit ${row.exit}`).join("\n");
      throw new Error("that was its output; run it again, or close this");
    });
  }

  for (const name of Object.keys(SWITCHES)) {
    buttons[name] = h("button", { type: "button", "aria-pressed": "false", onclick: () => flip(name) }, name);
  }
  const element = h("section", { "aria-label": "Switches" }, h("div", { class: "buttons" }, Object.values(buttons),
    h("button", { type: "button", onclick: () => drain("bring", "Bring home what was started on",
      "All of its jobs that run elsewhere come home, and it is set to lstay.", "Bring") }, "bring…"),
    h("button", { type: "button", onclick: () => drain("expel", "Expel all guests of",
      "All guests leave it, and it is set to block.", "Expel") }, "expel…"),
    h("button", { type: "button", onclick: command }, "commands…")), notes);

  return {
    element,
    show(node) {
      for (const [name, button] of Object.entries(buttons)) button.setAttribute("aria-pressed", String(has(node, name)));
      if (node.up && node.status !== status) showNotes();
      status = node.status;
    },
  };
}
