// Makes elements. Whatever comes from the cluster becomes text, never markup.

/** Return a new element. Properties that begin with "on" are listeners; null and false are left out. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat()) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
  return element;
}

/** Set the text of an element, if it is another one: writing the same text costs a layout. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Set or remove an attribute, if it is another one. */
export function setAttribute(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** Return an input with its label. */
export function field(label, input) {
  return h("label", { class: "field" }, h("span", {}, label), input);
}

/** Return a choice of [value, text] pairs. */
export function choice(options, chosen, properties = {}) {
  return h("select", properties, options.map(([value, text]) =>
    h("option", { value, selected: String(value) === String(chosen) }, text)));
}

const region = () => document.getElementById("said");

/** Say something to everybody, screen readers too; it is gone after a while. */
export function say(text, isError = false) {
  const line = h("p", { class: isError ? "error" : null }, text);
  region().append(line);
  setTimeout(() => line.remove(), isError ? 12000 : 6000);
}
