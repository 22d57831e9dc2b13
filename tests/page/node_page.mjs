// What people do on the page of a node and of a process: charts of the past, switches with reasons.

import { check, turn } from "./browser.mjs";
import { signIn } from "./steps.mjs";

/** Choose a span of time for the charts. */
const choose = (page, span) => page.getByLabel("Charts of").selectOption(span);

/** Return the text below a chart, once it has a value. */
async function caption(page, title) {
  const text = page.locator("figcaption").filter({ hasText: new RegExp(`^${title}(:| at) (?!not known)`) });
  await text.waitFor();
  return text.textContent();
}

/** Return the pixels of a chart that are not empty: of the line, the band and the axes. */
const inked = (page, title) => page.getByRole("img", { name: new RegExp(`^${title}:`) }).evaluate((canvas) =>
  canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.filter((value, at) => at % 4 === 3 && value).length);

/** Live charts, any span up to two years, a span that was drawn with the mouse, and one that was typed. */
export async function charts({ newPage }, { url, pictures }) {
  const page = await newPage(`${url}#/node/1`);
  check(/^Load: \d/.test(await caption(page, "Load")), "the live chart has its value");
  check((await page.locator("figure:visible").count()) === 2, "live are two charts");
  for (const span of ["-15m", "-1h", "-1d", "-30d", "-730d"]) {
    await choose(page, span);
    await caption(page, "Load");
    check(page.url().includes(`span=${encodeURIComponent(span)}`), "the span is in the address");
  }
  await page.getByText(/^Load: .* to 99\.00$/).waitFor(); // two years, of which the test made all but the last minutes
  check((await inked(page, "Load")) > 5000, "two years are drawn");
  await choose(page, "-15m");
  for (const title of ["Load", "Available memory", "Processors in use", "Waiting for storage"]) await caption(page, title);
  await caption(page, "Network, received");
  await page.locator('figure[aria-label="Load"]').focus();
  await page.keyboard.press("End");
  check(/^Load at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d: /.test(await page.locator("figcaption").first().textContent()), "arrow keys read values");
  await choose(page, "-730d");
  await page.getByText(/^Load: .* to 99\.00$/).waitFor(); // not the values of the span before
  const box = await page.locator("figure canvas").first().boundingBox();
  await page.mouse.move(box.x + box.width * 0.4, box.y + 50);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.6, box.y + 50, { steps: 4 });
  await page.mouse.up();
  await page.getByLabel("From", { exact: true }).waitFor();
  const from = Date.parse(await page.getByLabel("From", { exact: true }).inputValue()), until = Date.parse(await page.getByLabel("Until", { exact: true }).inputValue());
  check(Math.abs((until - from) / 86400000 - 146 * 1.17) < 20, `${(until - from) / 86400000} days were chosen with the mouse`);
  await page.getByText("Load: 1.00, 0.96 to 99.00").waitFor();
  await page.getByLabel("Until", { exact: true }).fill(await page.getByLabel("From", { exact: true }).inputValue());
  await page.getByText("It has to end after it begins.").waitFor();
  await page.getByLabel("From", { exact: true }).fill("2001-01-01T00:00:00");
  await page.getByLabel("Until", { exact: true }).fill("2001-01-02T00:00:00");
  await page.getByText("Nothing is known of that time.").waitFor();
  await page.reload();
  await page.getByText("Nothing is known of that time.").waitFor(); // it is in the address
  if (!pictures) return;
  await choose(page, "-15m");
  await caption(page, "Processors in use");
  await turn("wait"); // until there is something to see
  await page.setViewportSize({ width: 900, height: 1100 });
  await page.reload();
  await caption(page, "Processors in use");
  await page.locator('section[aria-label="Charts"]').screenshot({ path: `${pictures}/page-past.png` });
}

/** The page of a process: its values and charts, live and as they were. */
export async function process({ newPage }, { url, halves }) {
  const page = await newPage(`${url}#/processes?match=${halves.join("")}`);
  await page.locator(".space .row a").first().click();
  await page.getByRole("heading", { level: 1, name: /^Process \d+ / }).waitFor();
  check(/^CPU %: \d/.test(await caption(page, "CPU %")), "its processor time is charted");
  check(/^Memory: \d/.test(await caption(page, "Memory")), "its memory is charted");
  await page.locator("dt", { hasText: "In swap space" }).locator("+ dd").getByText(/^\d+[BKM]$/).waitFor();
  check((await page.locator("dt", { hasText: "Open descriptors" }).locator("+ dd").textContent()) === "-", "that is for its owner");
  await turn("wait");
  await choose(page, "15m");
  await page.waitForFunction(() => /^CPU %: [1-9]/.test(document.querySelector("figcaption").textContent), null, { timeout: 30000 });
  await choose(page, "");
  await turn("end it");
  await page.getByText("it has ended, or its node does not answer").waitFor();
}

/** A switch is set with a reason, which everybody sees; what is not confirmed is not set. */
export async function reasons({ newPage }, { url, token }) {
  const page = await newPage(`${url}#/node/1`);
  await page.getByRole("button", { name: "block", exact: true }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Set" }).click();
  await dialog.getByText(/`block` is for admin/).waitFor(); // nobody is signed in
  await dialog.getByRole("button", { name: "Cancel" }).click();
  await signIn(page, token);
  await page.getByRole("button", { name: "Sign out root" }).waitFor();
  await page.getByRole("button", { name: "block", exact: true }).click();
  await dialog.getByLabel(/^Reason/).fill("the disk is replaced <b>today</b>");
  await dialog.getByRole("button", { name: "Set" }).click();
  await page.locator(".reasons li").getByText(/set .* by root: the disk is replaced <b>today<\/b>$/).waitFor();
  await page.locator('button[aria-pressed="true"]').getByText("block").waitFor();
  check((await turn("reason")) === "the disk is replaced <b>today</b>", "the daemon keeps the reason");
  await page.getByRole("button", { name: "block", exact: true }).click();
  await dialog.getByText("Clear block on").waitFor();
  await dialog.getByRole("button", { name: "Clear" }).click();
  await page.locator(".reasons li").waitFor({ state: "detached" });
  await page.getByRole("button", { name: "expel…" }).click();
  await dialog.getByLabel(/^Reason/).fill("maintenance");
  await dialog.getByRole("button", { name: "Expel" }).click();
  await page.getByText("0 jobs moved").waitFor();
  await page.locator(".reasons li").getByText(/by root: maintenance$/).waitFor();
}
