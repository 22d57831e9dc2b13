// A real Chromium for the tests of the page. Whatever the page complains of is a failure: errors on the console,
// exceptions, and reports of the content security policy.

import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

/** Return a browser, and a function that opens a page of which every complaint is kept. */
export async function open(executablePath, options = {}) {
  const browser = await chromium.launch({
    executablePath, headless: true, args: ["--no-sandbox", "--disable-dev-shm-usage", "--no-proxy-server"],
  });
  const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options });
  const complaints = [];
  async function newPage(url) {
    const page = await context.newPage();
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(`${error.name}: ${error.message}`));
    await page.addInitScript(() => {
      addEventListener("securitypolicyviolation", (event) => console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`));
    });
    await page.goto(url);
    return page;
  }
  return { browser, context, complaints, newPage };
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Tell the test that it may go on, and wait for its answer. */
export async function turn(word) {
  process.stdout.write(`${word}\n`);
  return (await lines.next()).value;
}

/** Fail unless something holds. */
export function check(holds, text) {
  if (!holds) throw new Error(text);
}
