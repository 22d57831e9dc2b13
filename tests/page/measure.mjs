// Measures the page next to a static one with the same tiles, for bench/page.py.

import { turn } from "./browser.mjs";

/** Return how long the main thread of a page was busy, in milliseconds. */
async function busy(client) {
  const { metrics } = await client.send("Performance.getMetrics");
  return 1000 * metrics.find((each) => each.name === "TaskDuration").value;
}

/** Return milliseconds from the navigation until so many tiles are painted. */
async function painted(page, url, count) {
  await page.goto("about:blank");
  const begin = Date.now();
  await page.goto(url, { waitUntil: "commit" });
  await page.waitForFunction((most) => document.querySelectorAll(".tile").length >= most, count, { polling: "raf", timeout: 60000 });
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
  return Date.now() - begin;
}

/** Measure the page next to a static one with the same tiles: bench/page.py. Says JSON. */
export async function measure({ newPage }, { url, count, rounds, seconds }) {
  const page = await newPage(url);
  await page.waitForFunction((most) => document.querySelectorAll(".tile").length >= most, count, { timeout: 60000 });
  await page.waitForTimeout(1500);
  const html = await page.evaluate(() => {
    const copy = document.documentElement.cloneNode(true);
    for (const script of copy.querySelectorAll("script, canvas")) script.remove();
    return `<!doctype html>${copy.outerHTML}`;
  });
  const still = await page.context().newPage();
  await still.route("**/still", (route) => route.fulfill({ contentType: "text/html; charset=utf-8", body: html }));
  const found = { live: [], still: [] };
  const blank = await page.context().newPage(); // its worker is there already, as in a second tab
  for (let round = 0; round < rounds; round += 1) {
    found.live.push(await painted(blank, url, count));
    found.still.push(await painted(still, `${url}still`, count));
  }
  await blank.close();
  const clients = [];
  for (const each of [page, still]) {
    const client = await each.context().newCDPSession(each);
    await client.send("Performance.enable");
    clients.push(client);
  }
  await still.evaluate(() => { // the same texts and bars are changed once a second, by the shortest program there is
    const tiles = [...document.querySelectorAll(".tile")].map((tile) => [...tile.querySelectorAll("b, i")]);
    let turn = 0;
    setInterval(() => {
      turn += 1;
      tiles.forEach(([load, memory, bar], at) => {
        load.textContent = `${(at + turn) % 2}.${(at * turn) % 90 + 10}`;
        memory.textContent = `${(at + turn) % 90 + 10}%`;
        bar.style.width = `${(at + turn) % 90 + 10}%`;
      });
    }, 1000);
  });
  for (const [name, each, client] of [["liveUpdate", page, clients[0]], ["stillUpdate", still, clients[1]]]) {
    await each.bringToFront();
    await each.waitForTimeout(1500);
    const before = await busy(client);
    await each.waitForTimeout(1000 * seconds);
    found[name] = (await busy(client) - before) / seconds;
  }
  await turn(JSON.stringify(found));
}
