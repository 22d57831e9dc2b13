// Dialogs: one at a time, with the keyboard, focus returns to where it was.

import { h } from "./dom.js";

let serial = 0;

/**
 * Show a dialog; return what `result` gives when it is accepted, null when it is not.
 *
 * When `result` throws, its text is shown and the dialog stays.
 */
export function dialog(title, content, accept, result = () => true) {
  return new Promise((resolve) => {
    const before = document.activeElement;
    const id = `dialog-${serial += 1}`;
    const wrong = h("p", { class: "error", role: "alert" });
    const yes = h("button", { type: "submit", class: "primary" }, accept);
    const form = h("form", { method: "dialog" },
      h("h2", { id }, title), ...content, wrong,
      h("div", { class: "buttons" }, h("button", { type: "button", onclick: () => close(null) }, "Cancel"), yes));
    const box = h("dialog", { "aria-labelledby": id }, form);
    let isDone = false;

    function close(value) {
      if (isDone) return;
      isDone = true;
      box.close();
      box.remove();
      if (before?.isConnected) before.focus();
      resolve(value);
    }
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      yes.disabled = true;
      try {
        close(await result());
      } catch (error) {
        wrong.textContent = error.message;
        yes.disabled = false;
      }
    });
    box.addEventListener("cancel", (event) => {
      event.preventDefault();
      close(null);
    });
    document.body.append(box);
    box.showModal();
    (form.querySelector("input, select, textarea") ?? yes).focus();
  });
}

/** Ask once; return whether it was accepted. */
export const confirmed = async (title, content, accept) => (await dialog(title, content, accept)) !== null;
