// Steps that several scenarios take.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { check } from "./browser.mjs";

const require = createRequire(import.meta.url);
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf-8");

/** Wait until the tile of a node has a state. */
export async function tileIs(page, id, state) {
  await page.waitForSelector(`.tile[href="#/node/${id}"][data-state="${state}"]`, { timeout: 30000 });
}

/** Sign in with a token. */
export async function signIn(page, token) {
  await page.getByRole("button", { name: "Sign in" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Token").fill(token);
  await dialog.getByRole("button", { name: "Sign in" }).click();
}

/** Go to a view by its link. */
export async function go(page, name) {
  await page.getByRole("navigation").getByRole("link", { name }).click();
  await page.getByRole("heading", { level: 1, name }).waitFor();
}

/** Nothing serious may be wrong for people who use other means than eyes and a mouse. */
export async function accessible(page, what) {
  // As a script of the test, not of the page: the policy of the page allows none inline.
  const client = await page.context().newCDPSession(page);
  await client.send("Runtime.evaluate", { expression: axe });
  const told = await client.send("Runtime.evaluate", {
    expression: "axe.run(document, {resultTypes: ['violations']}).then((r) => JSON.stringify(r.violations.map((v) => [v.impact, v.id, v.nodes.slice(0, 3).map((n) => n.html + ' ' + n.failureSummary)])))",
    awaitPromise: true, returnByValue: true,
  });
  const wrong = JSON.parse(told.result.value).filter(([impact]) => impact === "serious" || impact === "critical");
  check(!wrong.length, `axe-core on ${what}: ${JSON.stringify(wrong, null, 1)}`);
}
