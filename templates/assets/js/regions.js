/* Parts of ordinary pages that follow the server: <section id="x" data-live-topic="incidents"> is replaced by the same
 * part of a freshly fetched page. Such a part holds no form. Also shows the banner when the stream is stale. */
import { onState, soon, subscribe } from "./live.js";

const parts = [...document.querySelectorAll("[data-live-topic][id]")];
let due = 0;
let asking = false;

async function refresh() {
  if (asking) { schedule(); return; }
  asking = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store", signal: soon() });
    if (!answer.ok || answer.redirected) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const { id } of parts) {
      const [was, is] = [document.getElementById(id), fresh.getElementById(id)];
      if (!was || !is || was.innerHTML === is.innerHTML) continue;
      const focused = was.contains(document.activeElement) ? document.activeElement.id : null;
      was.replaceChildren(...is.childNodes);
      if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    }
  } catch {
    clearTimeout(due);
    due = setTimeout(refresh, 3_000);
  } finally {
    asking = false;
  }
}

function schedule() {
  clearTimeout(due);
  due = setTimeout(refresh, 300);
}

let first = true;
for (const topic of new Set(parts.flatMap((part) => part.dataset.liveTopic.split(" ")))) {
  subscribe(topic, ({ version }) => {
    if (version === null && first) { first = false; return; }
    schedule();
  });
}

const banner = document.querySelector("[data-live-banner]");
if (banner && !document.getElementById("board")) onState((state) => { banner.hidden = state !== "stale"; });
