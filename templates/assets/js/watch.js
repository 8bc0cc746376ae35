/* On every page but the board: once this browser keeps watch (sound was turned on at the board), calls keep sounding
 * and a bar leads back to the board, so that reading an incident or a resident never silences the shift. */
import { onState, soon, streamId, subscribe, tab } from "./live.js";
import * as tones from "./sound.js";

const bar = document.querySelector("[data-watch]");
if (bar && localStorage.getItem("songhe-sound") === "on" && !document.getElementById("board")) {
  let etag = null;
  let level = null;
  let owner = !navigator.locks;
  let state = "connecting";
  const audible = () => owner && tones.running();
  const sound = () => {
    tones.sound(audible() ? level : null);
    bar.dataset.sounding = tones.sounding() ?? "";
  };

  // A question that failed is asked again: the stream may be live all the while, and no further message come.
  let again = 0;
  const later = () => { clearTimeout(again); again = setTimeout(refresh, 2_000); };

  const refresh = async () => {
    try {
      const answer = await fetch("/incidents/board/fragment", { headers: { Accept: "text/html", ...(etag ? { "If-None-Match": etag } : {}) }, cache: "no-store", signal: soon() });
      if (answer.status === 304) return;
      if (answer.status !== 200 || answer.redirected) { later(); return; }
      etag = answer.headers.get("ETag");
      const calls = [...new DOMParser().parseFromString(await answer.text(), "text/html").querySelectorAll(".call[data-unanswered='yes']")];
      level = tones.LEVELS.find((name) => calls.some((call) => call.dataset.level === name)) ?? null;
      bar.hidden = calls.length === 0;
      bar.dataset.level = level ?? "";
      bar.querySelector("[data-watch-text]").textContent = bar.dataset.text.replace("#", calls.length);
      bar.querySelector("[data-watch-first]").textContent = calls[0]?.dataset.say ?? "";
      sound();
    } catch {
      later();
    }
  };

  const presence = () => {
    const stream = streamId();
    if (!stream || state !== "live") return;
    const data = new URLSearchParams({ csrf: document.querySelector("form[data-csrf] [name=csrf]")?.value ?? "" });
    data.set("stream", stream);
    data.set("tab", tab);
    data.set("sound", audible() ? "true" : "false");
    fetch("/incidents/board/presence", { method: "POST", body: data, keepalive: true, redirect: "manual", signal: soon() }).catch(() => {});
  };

  tones.start(sound).then((on) => {
    if (on) navigator.locks?.request("songhe-sound", () => { owner = true; sound(); presence(); return new Promise(() => {}); });
    sound();
  });
  addEventListener("pointerdown", () => {
    if (tones.running()) return;
    tones.start(sound).then((on) => {
      if (on && !owner) navigator.locks?.request("songhe-sound", () => { owner = true; sound(); presence(); return new Promise(() => {}); });
      sound();
    });
  });
  subscribe("incidents", refresh);
  onState((next) => { state = next; if (next === "live") presence(); });
  setInterval(presence, 10_000);
  setInterval(() => { if (state !== "live") refresh(); }, 10_000);
  refresh();
}
