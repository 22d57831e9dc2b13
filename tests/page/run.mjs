// Runs one scenario: node run.mjs NAME CONFIG, where CONFIG is JSON with the URL and what the scenario needs.

import * as looks from "./looks.mjs";
import { measure } from "./measure.mjs";
import * as nodes from "./node_page.mjs";
import * as others from "./scenarios.mjs";
import { check, open } from "./browser.mjs";

const scenarios = { ...others, ...nodes, ...looks, measure };
const [name, text] = process.argv.slice(2);
const config = JSON.parse(text);
const opened = await open(config.chromium, config.browser);
let failed = null;
try {
  await scenarios[name](opened, config);
  const complaints = opened.complaints.filter((each) => !(config.expected ?? []).some((part) => each.includes(part)));
  check(!complaints.length, `the page complained: ${complaints.join("\n")}`);
} catch (error) {
  failed = error;
  for (const page of opened.context.pages()) console.error((await page.locator("body").innerText({ timeout: 2000 }).catch(() => "")).slice(0, 2000));
}
await opened.browser.close();
if (failed) {
  console.error(failed.stack);
  process.exit(1);
}
process.exit(0);
