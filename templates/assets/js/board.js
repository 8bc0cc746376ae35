/* The alarm board: follows the server, runs the timers, sounds until somebody answers, and tells the server that it can
 * be heard. What it relies on: incidents/board-fragment.hbs, live.js, sound.js.
 * For tests and support, on #board: data-sounding is the level that sounds now ("" = silence), data-counted what the
 * server last took note of ("heard", "seen" without sound, "" = nothing), data-tested "yes" after a test tone. */
import { hintServerTime, onState, serverNow, soon, streamId, subscribe, tab } from "./live.js";
import * as tones from "./sound.js";

const PAUSE_MS = 120_000;
const PRESENCE_MS = 10_000;
const POLL_MS = 10_000;
const AGAIN_MS = 2_000;
const SETTLE_MS = 450;

const board = document.getElementById("board");
const body = document.getElementById("board-body");
const words = Object.fromEntries([...document.querySelectorAll("#board-words [data-word]")].map((li) => [li.dataset.word, li.textContent]));
const find = (name) => board.querySelector(`[data-${name}]`);
const soundExpected = board.dataset.sound === "expected";
const title = document.title;

/* ---------- Following the server ---------- */

let etag = null;
let asking = false;
let again = false;
let state = "connecting";

// A question that failed is asked again: the stream may be live all the while, and no further message come.
function askLater() {
  clearTimeout(askLater.timer);
  askLater.timer = setTimeout(refresh, AGAIN_MS);
}

async function refresh() {
  if (asking) { again = true; return; }
  asking = true;
  try {
    const answer = await fetch("/incidents/board/fragment", { headers: { Accept: "text/html", ...(etag ? { "If-None-Match": etag } : {}) }, cache: "no-store", signal: soon() });
    hintServerTime(Date.parse(answer.headers.get("Date") ?? ""));
    if (answer.status === 401 || (answer.redirected && new URL(answer.url).pathname.startsWith("/sign-in"))) { complain(words.session); return; }
    if (answer.status === 200) {
      const html = await answer.text();
      await fingerUp();
      show(html);
      etag = answer.headers.get("ETag");
    } else if (answer.status !== 304) askLater();
  } catch {
    askLater();
  } finally {
    asking = false;
    if (again) { again = false; refresh(); }
  }
}

// Nothing moves under a finger that is down (at most a second).
let down = false;
addEventListener("pointerdown", () => { down = true; }, true);
for (const name of ["pointerup", "pointercancel"]) addEventListener(name, () => { down = false; }, true);
async function fingerUp() {
  for (let i = 0; down && i < 20; i += 1) await new Promise((done) => setTimeout(done, 50));
}

const sources = new Map();
for (const node of board.querySelectorAll("#calls > [id], #board-side > [id]")) sources.set(node.id, node.outerHTML);

// Replaces only what changed, by id, so that focus, a running press and reading positions stay.
function reconcile(was, is) {
  const focus = document.activeElement?.id;
  let moved = false;
  const wanted = [...is.children];
  const ids = new Set(wanted.map((node) => node.id));
  for (const node of [...was.children]) if (!ids.has(node.id)) { node.remove(); sources.delete(node.id); moved = true; }
  wanted.forEach((node, index) => {
    const html = node.outerHTML;
    let here = [...was.children].find((child) => child.id === node.id);
    if (!here) {
      here = document.importNode(node, true);
      here.classList.toggle("fresh", node.dataset.unanswered === "yes");
      moved = true;
    } else if (sources.get(node.id) !== html) {
      const next = document.importNode(node, true);
      here.replaceWith(next);
      here = next;
    }
    sources.set(node.id, html);
    if (was.children[index] !== here) { was.insertBefore(here, was.children[index] ?? null); moved = true; }
  });
  if (focus && document.activeElement?.id !== focus) document.getElementById(focus)?.focus({ preventScroll: true });
  return moved;
}

function show(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  const calls = fresh.getElementById("calls");
  if (!calls) return;
  const known = new Set(waiting().map((call) => call.id));
  const list = document.getElementById("calls");
  if (reconcile(list, calls)) settle(list);
  const [side, newSide] = [document.getElementById("board-side"), fresh.getElementById("board-side")];
  if (side && newSide) reconcile(side, newSide);
  const arrived = waiting().filter((call) => !known.has(call.id));
  if (arrived.length > 0) {
    find("announce").textContent = arrived.map((call) => call.dataset.say).join(words.semicolon);
    // A pause covers the calls that were there when it was pressed, never a new one.
    endPause();
  }
  update();
  tick();
}

// A call that has just moved below a finger must not be pressed by mistake.
function settle(list) {
  list.dataset.settling = "yes";
  clearTimeout(settle.timer);
  settle.timer = setTimeout(() => { delete list.dataset.settling; }, SETTLE_MS);
}

const waiting = () => [...board.querySelectorAll(".call[data-unanswered='yes']")];
const loudest = () => tones.LEVELS.find((level) => waiting().some((call) => call.dataset.level === level)) ?? null;

/* ---------- Timers ---------- */

const two = (n) => String(n).padStart(2, "0");
function running(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 3600) return `${two(Math.floor(s / 60))}:${two(s % 60)}`;
  if (s < 86_400) return `${Math.floor(s / 3600)}:${two(Math.floor((s % 3600) / 60))}:${two(s % 60)}`;
  return `${Math.floor(s / 86_400)} ${words.days}`;
}
function until(ms) {
  const s = Math.ceil(ms / 1000);
  if (s <= 0) return words.now;
  return s < 120 ? words["in-seconds"].replace("#", s) : words["in-minutes"].replace("#", Math.ceil(s / 60));
}
function tick() {
  const now = serverNow();
  for (const node of board.querySelectorAll("[data-raised-at]")) node.textContent = running(now - Date.parse(node.dataset.raisedAt));
  for (const node of board.querySelectorAll("[data-due-at]")) node.textContent = until(Date.parse(node.dataset.dueAt) - now);
  if (pausedUntil) {
    const left = pausedUntil - performance.now();
    if (left <= 0) endPause();
    else find("pause-left").textContent = running(left + 999);
  }
}

/* ---------- Sound ---------- */

let wanted = false;
let confirmed = false;
let owner = !navigator.locks;
let pausedUntil = 0;

const audible = () => wanted && owner && tones.running();

function update() {
  const level = loudest();
  tones.sound(audible() && !pausedUntil ? level : null);
  board.dataset.sounding = tones.sounding() ?? "";
  const chip = find("sound-chip");
  const soundState = wanted && !owner ? "other" : !audible() ? "off" : pausedUntil ? "paused" : "on";
  chip.dataset.state = soundState;
  chip.hidden = !soundExpected && soundState === "off";
  find("stream-chip").dataset.state = state;
  find("sound-start").hidden = soundState !== "off" || !find("sound-panel").hidden;
  find("sound-pause").hidden = soundState !== "on" || !level;
  find("sound-resume").hidden = soundState !== "paused";
  find("sound-panel").hidden = !(soundExpected && (soundState === "off" || (soundState === "on" && !confirmed)));
  find("sound-start").hidden ||= !find("sound-panel").hidden;
  const open = board.querySelectorAll("#calls > .call").length;
  find("open-count").textContent = open;
  find("open-chip").dataset.level = level ?? "";
  document.title = waiting().length > 0 ? `(${waiting().length}) ${title}` : title;
}

function ask(question) {
  find("sound-ask").hidden = question;
  find("sound-heard").hidden = !question;
  find("sound-begin").hidden = question;
  find("sound-yes").hidden = !question;
  find("sound-no").hidden = !question;
}

async function begin() {
  wanted = true;
  localStorage.setItem("songhe-sound", "on");
  if (!(await tones.start(update))) { find("sound-help").hidden = false; update(); return; }
  // One tab sounds for all of this browser.
  navigator.locks?.request("songhe-sound", () => { owner = true; update(); presence(); return new Promise(() => {}); });
  tones.test();
  board.dataset.tested = "yes";
  ask(true);
  find("sound-yes").focus();
  update();
  presence();
}

function endPause() {
  if (!pausedUntil) return;
  pausedUntil = 0;
  update();
}

find("sound-begin").addEventListener("click", begin);
find("sound-start").addEventListener("click", begin);
find("sound-yes").addEventListener("click", () => { confirmed = true; update(); find("sound-pause").focus(); });
find("sound-no").addEventListener("click", async () => { find("sound-help").hidden = false; await tones.start(update); tones.test(); });
find("sound-pause").addEventListener("click", () => { pausedUntil = performance.now() + PAUSE_MS; update(); tick(); find("sound-resume").focus(); });
find("sound-resume").addEventListener("click", () => { endPause(); find("sound-pause").focus(); });

// After a reload the browser may still trust us; otherwise the first touch anywhere brings the sound back.
async function restore() {
  if (localStorage.getItem("songhe-sound") !== "on") return;
  if (await tones.start(update)) {
    wanted = true;
    confirmed = true;
    navigator.locks?.request("songhe-sound", () => { owner = true; update(); presence(); return new Promise(() => {}); });
  }
  update();
}
addEventListener("pointerdown", () => { if (wanted && !tones.running()) tones.start(update); });

/* ---------- What the server knows about this board ---------- */

async function presence() {
  const stream = streamId();
  if (!stream || state !== "live") return;
  const data = new URLSearchParams({ csrf: document.querySelector("form[data-csrf] [name=csrf]")?.value ?? "" });
  data.set("stream", stream);
  data.set("tab", tab);
  data.set("sound", audible() ? "true" : "false");
  try {
    const answer = await fetch("/incidents/board/presence", { method: "POST", body: data, keepalive: true, redirect: "manual", signal: soon() });
    board.dataset.counted = !answer.ok ? "" : data.get("sound") === "true" ? "heard" : "seen";
  } catch {
    board.dataset.counted = ""; // the badge tells
  }
}

/* ---------- Presses ---------- */

function complain(text) {
  find("board-error-text").textContent = text;
  find("board-error").hidden = false;
}
find("board-error-close").addEventListener("click", () => { find("board-error").hidden = true; });

body.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-act]");
  if (!form) return;
  event.preventDefault();
  const list = document.getElementById("calls");
  const button = form.querySelector("button");
  if (form.dataset.busy || list.dataset.settling) return;
  form.dataset.busy = "yes";
  const label = button.querySelector("[data-label]");
  const was = label.textContent;
  const call = form.closest(".call");
  button.setAttribute("aria-disabled", "true");
  label.textContent = words.sending;
  // A double tap is one press, even when the answer is quick.
  const [failed] = await Promise.all([send(form), new Promise((done) => setTimeout(done, 700))]);
  // The call may have been replaced meanwhile.
  delete form.dataset.busy;
  button.removeAttribute("aria-disabled");
  label.textContent = was;
  const line = (document.getElementById(call.id) ?? call).querySelector("[data-failed]");
  if (line) { line.textContent = failed ?? ""; line.hidden = !failed; }
  if (!failed || failed === words.conflict) { etag = null; await refresh(); }
});

async function send(form) {
  const data = new URLSearchParams(new FormData(form));
  form.dataset.key ??= Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
  // The same key on a repeated press: a lost answer does not make a second deed.
  data.set("form_key", form.dataset.key);
  try {
    const answer = await fetch(form.action, { method: "POST", body: data, signal: soon(), headers: { Accept: "text/html" } });
    if (answer.status === 401 || (answer.redirected && new URL(answer.url).pathname.startsWith("/sign-in"))) return words.session;
    if (answer.ok) return null;
    if (answer.status === 403) return words.refused;
    return answer.status === 409 || answer.status === 404 ? words.conflict : words.server;
  } catch {
    return words.network;
  }
}

/* ---------- The screen stays on ---------- */

let wake = null;
async function stayAwake() {
  if (!("wakeLock" in navigator) || document.visibilityState !== "visible" || (wake && !wake.released)) return;
  try { wake = await navigator.wakeLock.request("screen"); } catch { /* refused at low battery */ }
}
document.addEventListener("visibilitychange", () => { if (document.visibilityState === "visible") { stayAwake(); refresh(); tick(); } });

/* ---------- Start ---------- */

subscribe(board.dataset.topic, refresh);
onState((next) => { state = next; update(); if (next === "live") presence(); });
setInterval(tick, 1000);
setInterval(presence, PRESENCE_MS);
// While the stream is not live, asking is all that is left.
setInterval(() => { if (state !== "live") refresh(); }, POLL_MS);
tick();
update();
restore();
stayAwake();
