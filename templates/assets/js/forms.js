/* Small help for plain forms; every one of them works without it. */

// A second press of a form that is on its way is ignored. (The server is idempotent as well.)
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post") return;
  if (form.dataset.confirm && !window.confirm(form.dataset.confirm)) { event.preventDefault(); return; }
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = "yes";
  event.submitter?.setAttribute("aria-disabled", "true");
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    for (const button of form.querySelectorAll("[aria-disabled]")) button.removeAttribute("aria-disabled");
  }
});

// The error summary is read first; its links lead into the fields.
const errors = document.getElementById("errors");
errors?.focus();
errors?.addEventListener("click", (event) => {
  const target = event.target.closest?.("a[href^='#']");
  const field = target && document.getElementById(decodeURIComponent(target.hash.slice(1)));
  if (!field) return;
  event.preventDefault();
  field.scrollIntoView({ block: "center" });
  (field.matches("input,select,textarea") ? field : field.querySelector("input,select,textarea") ?? field).focus();
});

// data-shown-when="outcome=duplicate": shown only while that radio, box or select has that value.
function reveal(form) {
  for (const part of form.querySelectorAll("[data-shown-when]")) {
    const [name, ...values] = part.dataset.shownWhen.split(/[=|]/);
    part.hidden = !values.includes(String(new FormData(form).get(name)));
  }
}
for (const form of document.querySelectorAll("form")) {
  if (!form.querySelector("[data-shown-when]")) continue;
  reveal(form);
  form.addEventListener("change", () => reveal(form));
}

document.addEventListener("click", (event) => {
  if (event.target.closest?.("[data-print]")) window.print();
});
