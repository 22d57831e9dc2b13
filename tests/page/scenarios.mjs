// What people do with the page. Each scenario fails by an exception.

import { check, turn } from "./browser.mjs";
import { accessible, go, signIn, tileIs } from "./steps.mjs";

const tile = (page, id) => page.locator(`.tile[href="#/node/${id}"]`);

/** Start a job by the form; the page of the job comes. */
async function start(page, command) {
  await go(page, "Jobs");
  await page.getByRole("button", { name: "Start a job…" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Command").fill(command);
  await dialog.getByLabel("Directory").fill("/");
  await dialog.locator("select").selectOption("1");
  await dialog.getByRole("button", { name: "Start" }).click();
  await page.waitForURL(/#\/job\/\d+/);
  return Number(/#\/job\/(\d+)/.exec(page.url())[1]);
}

/** Tiles with names and states; a node that dies, and the daemon of the page that is started again in its sleep. */
export async function tiles({ newPage }, { url }) {
  const page = await newPage(url);
  await tileIs(page, 1, "up");
  await tileIs(page, 2, "up");
  check((await tile(page, 2).locator(".name").textContent()) === "node2", "the name of a node is on its tile");
  await page.getByRole("link", { name: /^node2 up load .* mem .* node 2$/ }).waitFor(); // what a screen reader says
  await page.getByText(/^2 of 2 nodes up/).waitFor();
  await turn("kill 2");
  await tileIs(page, 2, "down");
  check((await tile(page, 2).locator(".badge").textContent()) === "D", "a letter, not a colour alone");
  await page.locator(".events li[data-kind=down]").first().waitFor();
  await page.getByText(/^1 of 2 nodes up/).waitFor();
  await page.getByLabel("Search").fill("node2");
  check((await page.locator(".tile").count()) === 1, "a search leaves what is searched for");
  check(page.url().includes("search=node2"), "the search is in the address");
  await page.reload();
  await tileIs(page, 2, "down");
  check((await page.locator(".tile").count()) === 1, "the address has the search again");
  await page.getByLabel("Search").fill("");
  await turn("sleep"); // the whole browser stands still, as on a laptop whose lid is closed, and much happens meanwhile
  await tileIs(page, 2, "up");
  await page.locator('#link[data-state="live"]').waitFor();
  await page.getByText(/^2 of 2 nodes up/).waitFor();
  await page.locator(".events li[data-kind=join]").first().waitFor(); // those of the new daemon, which were missed
}

/** A wrong token is refused in words, a right one opens what it may, signing out closes it in every tab. */
export async function signing({ newPage, context }, { url, token, code }) {
  const page = await newPage(url);
  await go(page, "Jobs");
  await page.getByText("Sign in to see your jobs.").waitFor();
  await signIn(page, "wrong");
  await page.getByRole("dialog").getByText("this token is not known here").waitFor();
  await page.getByRole("dialog").getByLabel("Token").fill(token);
  await page.getByRole("dialog").getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("button", { name: "Sign out root" }).waitFor();
  await page.getByText("0 of 0 jobs run").waitFor();
  const [cookie] = await context.cookies(`${url}api/v1/`);
  check(cookie.httpOnly && cookie.sameSite === "Strict", "no script reads the cookie, no other site sends it");
  const seen = await page.evaluate(() => document.cookie + JSON.stringify(localStorage) + location.href);
  check(!seen.includes(cookie.value) && !seen.includes(token), "neither cookie nor token is where scripts are");
  const other = await newPage(url); // it has the cookie, and not the key
  await other.getByRole("button", { name: "Sign in" }).waitFor();
  check((await other.evaluate(() => fetch("/api/v1/session").then((r) => r.json()))).value.role === "read", "the cookie alone is nobody");
  await other.goto(`${url}#code=${code}`);
  await other.getByRole("button", { name: "Sign out root" }).waitFor();
  check(!other.url().includes(code), "the code does not stay in the address");
  await page.goto(`${url}#code=${code}`);
  await page.getByText("this code is not good any more").waitFor();
  const [third] = await Promise.all([context.waitForEvent("page"), page.evaluate((address) => { open(address); }, url)]);
  await third.getByRole("button", { name: "Sign out root" }).waitFor(); // a tab that this one opened has its session
  await third.getByRole("button", { name: "Sign out root" }).click();
  await third.getByRole("button", { name: "Sign in" }).waitFor();
  await page.locator("#said").getByText("you are signed out: sign in again").waitFor({ timeout: 20000 });
  await page.getByRole("button", { name: "Sign in" }).waitFor();
  await page.locator('#link[data-state="live"]').waitFor(); // what anybody sees goes on
  await third.close();
  await other.getByRole("button", { name: "Sign out root" }).waitFor(); // another session is not touched
  await signIn(page, token);
  await page.getByRole("button", { name: "Sign out root" }).waitFor();
  await turn("remove token");
  await page.locator("#said").getByText("your token is no longer known here: sign in again").first().waitFor({ timeout: 20000 });
  await go(page, "Jobs");
  await page.getByText("Sign in to see your jobs.").waitFor();
  await other.getByRole("button", { name: "Sign out root" }).waitFor(); // the kernel vouched for that one
  await turn("restart");
  await other.locator("#said").getByText("you are signed out: sign in again").waitFor({ timeout: 20000 });
  await other.getByRole("button", { name: "Sign in" }).waitFor();
  await other.locator('#link[data-state="live"]').waitFor();
}

/** A job is started, its output comes as it is written, and it is dragged onto another node. */
export async function dragging({ newPage }, { url, token, command, pictures }) {
  const page = await newPage(url);
  await signIn(page, token);
  await page.getByRole("button", { name: "Sign out root" }).waitFor();
  const job = await start(page, command);
  await page.locator(".output").getByText("line 1").first().waitFor();
  if (pictures) await page.screenshot({ path: `${pictures}/page-job.png` });
  await accessible(page, "a job");
  await go(page, "Jobs");
  const row = page.locator(".space .row").first();
  await row.getByText("running").waitFor();
  const from = await row.boundingBox();
  await page.mouse.move(from.x + 300, from.y + 10);
  await page.mouse.down();
  await page.mouse.move(from.x + 340, from.y + 60, { steps: 4 });
  const target = page.locator('.target[data-node="2"]');
  await target.waitFor();
  const to = await target.boundingBox();
  await page.mouse.move(to.x + 40, to.y + 15, { steps: 6 });
  await page.mouse.move(to.x + 44, to.y + 17, { steps: 2 });
  await page.getByText(/^It can move to node 2 node2\.$|^It cannot move/).first().waitFor();
  check((await page.locator(".foreseen").textContent()).startsWith("It can move"), "what is foreseen while it is dragged");
  if (pictures) await page.screenshot({ path: `${pictures}/page-moving.png` });
  await page.mouse.up();
  const dialog = page.getByRole("dialog");
  await dialog.getByText(`Move job ${job}`).waitFor();
  await dialog.getByText("It runs on node 1 node1 and will go on at node 2 node2").waitFor();
  await dialog.getByRole("button", { name: "Move" }).click();
  await page.locator("#said").getByText(/runs on node 2 node2, after/).waitFor({ timeout: 60000 });
  await row.locator(".cell").nth(2).getByText("2", { exact: true }).waitFor();
  await turn(`moved ${job}`);
  await page.goto(`${url}#/job/${job}`);
  await page.getByRole("heading", { name: `Job ${job}` }).waitFor();
  await page.locator(".output").getByText("line 1").first().waitFor();
  await page.getByRole("button", { name: "Move…" }).focus(); // and back, by the keyboard alone
  await page.keyboard.press("Enter");
  await page.keyboard.type("its home");
  await dialog.getByText("It can move to its home.").waitFor();
  await tabTo(page, "dialog button.primary");
  await page.keyboard.press("Enter");
  await dialog.getByText("It runs on node 2 node2 and will go on at its home").waitFor();
  await page.keyboard.press("Enter");
  await page.locator("#said").getByText(/runs on node 1 node1, after/).waitFor({ timeout: 60000 });
  await page.getByRole("button", { name: "Kill it" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click(); // it asks, and can be left
  await page.getByRole("button", { name: "Kill it" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Kill it" }).click();
  await page.getByText(/^it has ended, exit 137/).waitFor();
}

/** Press Tab until the focus is where it should be. */
async function tabTo(page, selector, most = 60) {
  for (let count = 0; count < most; count += 1) {
    await page.keyboard.press("Tab");
    if (await page.evaluate((found) => document.activeElement?.matches(found), selector)) return;
  }
  throw new Error(`the keyboard does not reach ${selector}`);
}

/** The keyboard alone reaches what the mouse does: views, a tile, a process, its menu, the confirmation. */
export async function keyboard({ newPage }, { url, token, halves }) {
  const match = halves.join(""); // in two halves, or the command line of this program would match as well
  const page = await newPage(url);
  await tileIs(page, 1, "up");
  await page.keyboard.press("Tab");
  check(await page.evaluate(() => document.activeElement.id === "skip"), "the first stop skips to the content");
  await tabTo(page, "#sign");
  await page.keyboard.press("Enter");
  await page.keyboard.type(token);
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Sign out root" }).waitFor();
  await tabTo(page, ".tile");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "node1, node 1" }).waitFor();
  await page.goto(`${url}#/processes?match=${match}`);
  await page.locator(".space .row button").first().waitFor();
  await tabTo(page, ".space .row button");
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog");
  await dialog.waitFor();
  check(await page.evaluate(() => document.activeElement.tagName === "SELECT"), "the dialog has the focus");
  await page.keyboard.type("send");
  await tabTo(page, "dialog button.primary");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: /^Send TERM to process/ }).waitFor();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  check((await turn("still there?")) === "yes", "what was not confirmed is not done");
  await page.locator(".space .row button").first().focus();
  await page.keyboard.press("Enter");
  await page.keyboard.type("send");
  await tabTo(page, "dialog button.primary");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: /^Send TERM to process/ }).waitFor();
  await page.keyboard.press("Enter");
  await page.locator("#said").getByText(/^sent TERM to process/).waitFor();
}

/** Eight tabs share one stream of each kind, and all of them are live; a hidden one has none. */
export async function tabs({ newPage }, { url }) {
  const pages = [];
  for (let count = 0; count < 8; count += 1) pages.push(await newPage(url));
  for (const page of pages) await tileIs(page, 1, "up");
  const stats = await pages[0].evaluate(() => fetch("/api/v1/stats").then((answer) => answer.json()));
  const streams = stats.rows.find((row) => row.name === "http_streams").value;
  check(streams === 2, `${streams} streams for eight tabs`);
  for (const page of pages.slice(1)) await page.close();
  await tileIs(pages[0], 1, "up");
  await pages[0].evaluate(() => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => true });
    document.dispatchEvent(new Event("visibilitychange"));
  });
  await pages[0].locator('#link[data-state="paused"]').waitFor();
  check((await turn("hidden")) === "0", "a hidden page keeps streams open");
  await pages[0].evaluate(() => {
    delete document.hidden;
    document.dispatchEvent(new Event("visibilitychange"));
  });
  await pages[0].locator('#link[data-state="live"]').waitFor();
}
