/* Tests of devices: tells the server when a result is on a screen that somebody can see, and asks before all are started. */
import { soon } from "./live.js";

const told = new Set();
const form = document.getElementById("test-form");

async function tell() {
  if (!form || document.visibilityState !== "visible") return;
  const csrf = form.elements.namedItem("csrf")?.value ?? "";
  for (const part of document.querySelectorAll("[data-unshown]")) {
    const id = part.dataset.unshown;
    if (told.has(id)) continue;
    told.add(id);
    try {
      await fetch(`/device-tests/${id}/shown`, { method: "POST", body: new URLSearchParams({ csrf }), signal: soon() });
    } catch {
      // A figure less; the test itself is stored.
    }
  }
}

const tests = document.getElementById("tests");
if (tests) new MutationObserver(() => void tell()).observe(tests, { childList: true, subtree: true });
document.addEventListener("visibilitychange", () => void tell());
void tell();

// Before forms.js hears of it: a refused question must not mark the form as sent.
form?.addEventListener("submit", (event) => {
  if (event.submitter?.id === "devices" && !window.confirm(form.dataset.confirmAll)) event.preventDefault();
});
