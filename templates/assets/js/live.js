/* One event stream per browser, shared by its tabs.
 *
 * GET /stream sends   event: hello      {"stream": "…"}                                  first, on every connection
 *                     event: beat       {}                                               every 10 s
 *                     event: change     {"topic": "incidents:fac_…", "version": 12}      after a commit
 *                     (hello and beat may carry "now", RFC 3339: then timers follow it exactly instead of the Date header of answers.)
 * The tab that holds the lock opens the stream and passes everything on by BroadcastChannel. Without locks (plain
 * HTTP on a foreign host) each tab opens its own. Messages carry no data: listeners fetch again, and they are also
 * called after every (re)connection, since messages may have been missed.
 */
// Told after 25 s at the latest: looked at every second, with one to spare.
const STALE_MS = 24_000;
const LOOK_MS = 1_000;
const PULSE_MS = 3_000;
// A connection attempt that hangs (half-open network) is given up after this.
const REOPEN_MS = 10_000;
const LOCK = "songhe-stream";

const listeners = new Set();
const watchers = new Set();
const channel = "BroadcastChannel" in window ? new BroadcastChannel("songhe-live") : null;

/** Names this tab towards the server. */
export const tab = Array.from(crypto.getRandomValues(new Uint8Array(8)), (b) => b.toString(16).padStart(2, "0")).join("");

let source = null;
let leading = false;
let stream = null;
let state = "connecting";
let lastSeen = performance.now();
let offset = null;
let retry = 0;
let openedAt = 0;

/** What every short request of a page is sent with: on a half-open network it would hang for minutes and block the next. */
export const soon = () => AbortSignal.timeout(8_000);

/** Calls fn({topic, version}) for the topic and everything below it; after a reconnection with version null.
 *  @returns {() => void} ends it */
export function subscribe(topic, fn) {
  const entry = { topic, fn };
  listeners.add(entry);
  return () => listeners.delete(entry);
}

/** Calls fn("connecting" | "live" | "stale") now and at each change. */
export function onState(fn) {
  watchers.add(fn);
  fn(state);
  return () => watchers.delete(fn);
}

/** The server's name for the current stream, or null. */
export const streamId = () => stream;
/** Milliseconds since 1970 by the server's clock, as well as it is known. */
export const serverNow = () => Date.now() + (offset ?? 0);
/** A coarse hint (an answer's Date header, cut to the second), used until the stream tells better. */
export function hintServerTime(ms) {
  if (offset === null && Number.isFinite(ms)) offset = ms + 500 - Date.now();
}

function notify(topic, version) {
  for (const { topic: wanted, fn } of listeners) {
    if (topic === null || topic === wanted || topic.startsWith(`${wanted}:`)) {
      try { fn({ topic: topic ?? wanted, version }); } catch (error) { console.error(error); }
    }
  }
}

function setState(next) {
  if (next === state) return;
  state = next;
  for (const fn of watchers) fn(state);
}

function seen(now) {
  lastSeen = performance.now();
  const ms = Date.parse(now ?? "");
  if (Number.isFinite(ms)) offset = ms - Date.now();
}

function pulse() {
  if (leading) channel?.postMessage({ kind: "pulse", state, stream, offset });
}

function connected(id) {
  stream = id;
  setState("live");
  notify(null, null);
}

function open() {
  source?.close();
  openedAt = performance.now();
  source = new EventSource("/stream");
  const own = source;
  const on = (name, fn) => own.addEventListener(name, (event) => {
    if (own !== source) return;
    let data = {};
    try { data = JSON.parse(event.data || "{}"); } catch { return; }
    fn(data);
  });
  on("hello", (data) => {
    retry = 0;
    seen(data.now);
    connected(data.stream ?? null);
    channel?.postMessage({ kind: "connected", stream, offset });
  });
  on("beat", (data) => { seen(data.now); setState("live"); pulse(); });
  on("change", (data) => {
    seen(data.now);
    if (typeof data.topic !== "string") return;
    notify(data.topic, data.version ?? null);
    channel?.postMessage({ kind: "change", topic: data.topic, version: data.version ?? null });
  });
  own.onerror = () => {
    if (own !== source) return;
    if (state === "live") setState("connecting");
    pulse();
    // A refused answer (proxy error, restart) ends an EventSource for good: open another, ever more slowly.
    if (own.readyState === EventSource.CLOSED) {
      retry = Math.min(retry + 1, 5);
      setTimeout(() => { if (own === source) open(); }, 500 * 2 ** retry + Math.random() * 500);
    }
  };
}

function lead() {
  leading = true;
  lastSeen = performance.now();
  open();
  return new Promise(() => {});
}

function follow() {
  leading = false;
  source?.close();
  source = null;
}

function contend(options) {
  navigator.locks.request(LOCK, options, lead).catch(() => { follow(); contend({}); });
}

channel?.addEventListener("message", ({ data }) => {
  if (leading) return;
  lastSeen = performance.now();
  if (data.offset !== undefined && data.offset !== null) offset = data.offset;
  if (data.kind === "pulse") {
    stream = data.stream;
    if (data.state === "live" && state !== "live") connected(data.stream);
    else setState(data.state);
  } else if (data.kind === "connected") connected(data.stream);
  else if (data.kind === "change") notify(data.topic, data.version);
});

setInterval(() => {
  const silent = performance.now() - lastSeen;
  if (silent > STALE_MS) {
    setState("stale");
    // The leading tab may be frozen; a tab somebody looks at takes over.
    if (!leading && navigator.locks && document.visibilityState === "visible") {
      lastSeen = performance.now() - STALE_MS + 10_000;
      contend({ steal: true });
    } else if (leading && performance.now() - openedAt > REOPEN_MS) open();
  }
}, LOOK_MS);
setInterval(pulse, PULSE_MS);

addEventListener("pagehide", () => source?.close());
addEventListener("pageshow", (event) => { if (event.persisted && leading) open(); });
addEventListener("online", () => { if (leading && state !== "live") open(); });

if (navigator.locks && channel) contend({});
else lead();
