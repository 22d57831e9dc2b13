// Steps that several scenarios take.

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
