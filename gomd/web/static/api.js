// Asks the daemon. The key of a session is kept in this tab only; the cookie alone is worth nothing.

const KEY = "gomd-key";
const listeners = new Set();
const endings = new Set();

export class ApiError extends Error {
  constructor(code, text) {
    super(text);
    this.code = code;
  }
}

/** Return the key of the session, empty without one. */
export const key = () => sessionStorage.getItem(KEY) ?? "";

/** Call `listener` whenever this tab is signed in or out. */
export const onSession = (listener) => listeners.add(listener);

/** Call `listener` with a sentence when the daemon ends the session. */
export const onEnding = (listener) => endings.add(listener);

function keep(value) {
  if (value) sessionStorage.setItem(KEY, value);
  else sessionStorage.removeItem(KEY);
  for (const listener of listeners) listener();
}

/** Forget the session: the daemon has said that it is over, and why. */
export function signedOut(why = "you are signed out: sign in again") {
  if (!key()) return;
  keep("");
  for (const listener of endings) listener(why);
}

async function send(method, path, body, keyed = true) {
  const headers = {};
  if (keyed && key()) headers["X-Gomd-Session"] = key();
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer, told;
  try {
    answer = await fetch(`/api/v1/${path}`, {
      method, headers, credentials: "same-origin", cache: "no-store",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    told = await answer.json();
  } catch {
    throw new ApiError(0, "the daemon does not answer");
  }
  if (!answer.ok || told.error) {
    if (answer.status === 401 && headers["X-Gomd-Session"] === key()) signedOut(told.error);
    throw new ApiError(told.code ?? answer.status, told.error ?? `status ${answer.status}`);
  }
  return told;
}

/** Return the rows of a verb that answers with a block. */
export const rows = async (path) => (await send("GET", path)).rows;

/** Return the value of a verb that answers with a line. */
export const value = async (path) => (await send("GET", path)).value;

/** Change something; return the value of the answer. */
export const change = async (path, body = {}) => {
  const told = await send("POST", path, body);
  return told.value ?? told.rows;
};

/** Sign in with {token} or {code}; return who that is. */
export async function signIn(body) {
  const told = (await send("POST", "session", body, false)).value;
  keep(told.key);
  return told;
}

/** End the session, in every tab that has it. */
export async function signOut() {
  try {
    await send("DELETE", "session");
  } finally {
    keep("");
  }
}

/** Make a path of words that may hold anything. */
export const path = (...words) => words.map((word) => encodeURIComponent(String(word))).join("/");
