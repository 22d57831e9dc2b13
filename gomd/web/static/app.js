// The page: signs in, follows the address, and shows one view at a time.

import { ApiError, key, onEnding, onSession, signIn, signOut, value } from "./api.js";
import * as cluster from "./cluster.js";
import { dialog } from "./dialogs.js";
import { field, h, say, setText } from "./dom.js";
import * as events from "./events.js";
import { jobView, jobsView } from "./jobs.js";
import { nodeView } from "./node.js";
import { overview } from "./overview.js";
import { processView } from "./process.js";
import { processesView } from "./processes.js";
import { onState } from "./streams.js";

const VIEWS = {
  "": overview, processes: processesView, jobs: jobsView, events: events.eventsView,
  node: nodeView, process: processView, job: jobView,
};
const OF = { "": "overview", node: "overview", processes: "processes", process: "processes", jobs: "jobs", job: "jobs", events: "events" };
const main = document.getElementById("main");
let end = null;
let shown = "";

/** Return the view, its argument and its options in the address: #/node/3?match=make. */
function place() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, word] = path.split("/").map(decodeURIComponent);
  return { name, word, options: Object.fromEntries(new URLSearchParams(query ?? "")) };
}

function setOptions(options) {
  const query = new URLSearchParams(Object.entries(options).filter(([, text]) => text)).toString();
  const path = location.hash.replace(/^#\/?/, "").split("?")[0];
  shown = `#/${path}${query ? `?${query}` : ""}`;
  history.replaceState(null, "", shown);
}

function show() {
  if (location.hash === shown && end) return;
  const before = shown;
  shown = location.hash;
  end?.();
  main.replaceChildren();
  const { name, word, options } = place();
  const view = VIEWS[name] ?? overview;
  end = view === overview || !word ? view(main, options, setOptions) : view(main, options, setOptions, word);
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === OF[name]) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${main.querySelector("h1")?.textContent ?? "gomd"} - gomd`;
  if (before) { // a reader of the screen begins at the new view
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
}

const sign = document.getElementById("sign");

async function askToken() {
  const token = h("input", { type: "password", autocomplete: "off", required: true, size: "50" });
  const told = await dialog("Sign in", [
    h("p", {}, "With a token of ", h("code", {}, "gom token add NAME ROLE"), ", or close this and say ", h("code", {}, "gom page"), " in a terminal."),
    field("Token", token),
  ], "Sign in", () => signIn({ token: token.value.trim() }));
  if (told) say(`signed in as ${told.user}, ${told.role}`);
}

sign.addEventListener("click", async () => {
  if (!key()) await askToken();
  else {
    await signOut().catch((error) => say(error.message, true));
    say("signed out");
  }
});

async function showSession() {
  try {
    const who = await value("session");
    setText(sign, key() ? `Sign out ${who.user}` : "Sign in");
    sign.title = `${who.role}${who.user ? `, ${who.user}` : ""}`;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    setText(sign, "Sign in");
  }
}

const theme = document.getElementById("theme");

function showTheme() {
  const dark = (localStorage.getItem("gomd-theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  setText(theme, dark ? "Light" : "Dark");
  document.dispatchEvent(new Event("gomd-theme")); // what is drawn on a canvas has the colours of its time
}

theme.addEventListener("click", () => {
  localStorage.setItem("gomd-theme", document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  showTheme();
});
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});

/** Exchange the code with which `gom page` has opened this page. It is removed from the address first. */
async function useCode() {
  const code = /^#code=([\w-]+)$/.exec(location.hash);
  if (!code) return;
  history.replaceState(null, "", "#/");
  try {
    const told = await signIn({ code: code[1] });
    say(`signed in as ${told.user}, ${told.role}`);
  } catch (error) {
    say(error.message, true);
  }
}

onEnding((why) => say(why, true));
showTheme();
onState((state) => {
  const link = document.getElementById("link");
  setText(link, { live: "live", lost: "no connection, trying again", paused: "paused", connecting: "connecting" }[state]);
  link.dataset.state = state;
});
await useCode();
addEventListener("hashchange", async () => {
  if (location.hash.startsWith("#code=")) await useCode();
  show();
});
onSession(() => {
  showSession();
  shown = "";
  end?.();
  end = null;
  show();
});
cluster.begin();
events.begin();
showSession();
if (!location.hash) history.replaceState(null, "", "#/");
show();
