// How the page looks: every view on every screen, names that are odd, tables that are long, clusters that are large.

import { check } from "./browser.mjs";
import { accessible, signIn } from "./steps.mjs";

const PICTURES = ["processes-light", "node-dark", "process-light", "events-light"];

/** Return the address of the page of a process. */
async function aProcess(page, url) {
  await page.goto(`${url}#/processes`);
  return (await page.locator(".space .row a").first().getAttribute("href"));
}

/** A table of five thousand rows has those in the document that can be seen, and is changed in no time. */
async function longTable(page) {
  const found = await page.evaluate(async () => {
    const { Table } = await import("/table.js");
    const text = (row) => String(row.number);
    const table = new Table({ label: "long", columns: [{ key: "number", title: "Number", text }], id: text, onSort: () => {} });
    document.getElementById("main").replaceChildren(table.element);
    const rows = Array.from({ length: 5000 }, (_, number) => ({ number }));
    table.set(rows, "number");
    const begin = performance.now();
    for (let turn = 0; turn < 20; turn += 1) table.set([...rows].reverse(), "number");
    const each = (performance.now() - begin) / 20;
    table.body.scrollTop = 1e9;
    await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
    const shown = [...table.element.querySelectorAll(".space .row")];
    return { each, count: shown.length, last: shown.some((row) => row.textContent === "0"), rows: table.element.getAttribute("aria-rowcount") };
  });
  check(found.count < 100 && found.last && found.rows === "5001", `a long table: ${JSON.stringify(found)}`);
  check(found.each < 100, `5,000 rows take ${found.each} ms`);
}

/** Every view, light and dark, on a desk and on a phone: axe-core finds nothing serious, nothing overflows. */
export async function views({ newPage }, { url, token, pictures }) {
  const page = await newPage(url);
  await signIn(page, token);
  await page.getByRole("button", { name: "Sign out root" }).waitFor();
  for (const theme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: theme });
    await page.evaluate((name) => localStorage.setItem("gomd-theme", name), theme);
    for (const [name, hash] of [["nodes", "#/"], ["node", "#/node/1"], ["processes", "#/processes"], ["process", await aProcess(page, url)],
      ["jobs", "#/jobs"], ["events", "#/events"]]) {
      if (theme === "dark" && !["nodes", "node", "processes"].includes(name)) continue; // the colours are the same
      await page.goto(`${url}${hash}`);
      await page.reload();
      await page.getByRole("heading", { level: 1 }).waitFor();
      await page.waitForTimeout(pictures ? 6000 : 400);
      await accessible(page, `${name}, ${theme}`);
      if (pictures && PICTURES.includes(`${name}-${theme}`)) await page.screenshot({ path: `${pictures}/page-${name}.png` });
    }
  }
  await longTable(page);
  await page.setViewportSize({ width: 375, height: 700 });
  for (const hash of ["#/", "#/processes", "#/node/1"]) {
    await page.goto(`${url}${hash}`);
    await page.waitForTimeout(500);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    check(wide <= 1, `${hash} is ${wide} pixels wider than a phone`);
  }
}

/** Names with markup in them are text, wherever they are shown. */
export async function names({ newPage }, { url, long_name: name, wide, marker }) {
  const page = await newPage(url);
  await page.getByText(name, { exact: true }).first().waitFor();
  for (const width of [1280, 375]) {
    await page.setViewportSize({ width, height: 700 });
    for (const hash of ["#/", "#/node/2", "#/node/1"]) {
      await page.goto(`${url}${hash}`);
      await page.getByText(hash === "#/node/2" ? wide : name).first().waitFor();
      check(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth + 1), `a long name makes ${hash} wider than ${width}`);
    }
  }
  await page.setViewportSize({ width: 1280, height: 720 });
  await page.goto(`${url}#/processes?match=${encodeURIComponent(marker)}`);
  await page.locator(".space .row").getByText(marker).first().waitFor();
  check((await page.locator("img, main script").count()) === 0, "a name became markup");
  check((await page.evaluate(() => window.hacked)) === undefined, "a name was executed");
}

/** Many nodes: every one has a tile with its name, and the page keeps up with them. */
export async function thousands({ newPage }, { url, count }) {
  const page = await newPage(url);
  await page.waitForFunction(() => document.querySelectorAll(".tile").length === 2000, null, { timeout: 30000 });
  const notice = await page.locator(".notice").first().textContent();
  check(notice.startsWith(`${count} nodes are too many for tiles: these are the first 2000 by name.`), notice);
  const totals = await page.locator(".totals").textContent();
  check(totals.includes(`of ${count} nodes up`), totals);
  const client = await page.context().newCDPSession(page);
  await client.send("Performance.enable", { timeDomain: "threadTicks" });
  const busy = async () => (await client.send("Performance.getMetrics")).metrics.find((each) => each.name === "TaskDuration").value;
  const begun = await busy();
  await page.waitForTimeout(8000);
  const cost = Math.round((1000 * (await busy() - begun)) / 8);
  console.error(`${count} nodes: ${cost} ms of work a second`);
  check(cost < 500, `${count} nodes cost the page ${cost} ms a second`);
  await page.getByRole("searchbox").fill("node-9999");
  await page.waitForFunction(() => document.querySelectorAll(".tile").length === 1, null, { timeout: 10000 });
  check(await page.locator(".notice").first().isHidden(), "nothing is left out any more, and nothing is said");
  await page.goto(`${url}#/processes`);
  await page.waitForFunction(() => /^\d+ of \d+ processes/.test(document.querySelector("p.notice[role=status]")?.textContent), null, { timeout: 30000 });
}

export async function many({ newPage }, { url, count, pictures }) {
  const page = await newPage(url);
  await page.waitForFunction((most) => document.querySelectorAll(".tile").length === most, count, { timeout: 30000 });
  const named = await page.locator(".tile .name").allTextContents();
  check(named.every((name) => name.length > 0) && new Set(named).size === count, "every node has its name on its tile");
  const shown = await page.locator(".tile b").allTextContents();
  check(shown.every((text) => /^(-|\d+\.\d\d|\d+%)$/.test(text)), "numbers are the same in every language");
  const [before] = shown;
  await page.waitForFunction((text) => document.querySelector(".tile b").textContent !== text, before, { timeout: 15000 });
  const client = await page.context().newCDPSession(page);
  await client.send("Performance.enable", { timeDomain: "threadTicks" }); // its own work, however busy the machine is
  const busy = async () => (await client.send("Performance.getMetrics")).metrics.find((each) => each.name === "TaskDuration").value;
  const begun = await busy();
  await page.waitForTimeout(3000);
  const cost = Math.round((1000 * (await busy() - begun)) / 3);
  console.error(`${count} nodes: ${cost} ms of work a second`);
  if (pictures && count === 200) await page.screenshot({ path: `${pictures}/page-nodes.png` });
  check(cost < 500, `${count} tiles cost the page ${cost} ms a second`);
}
