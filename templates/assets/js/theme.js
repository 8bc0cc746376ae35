/* Day and night without a reload (a reload of the alarm board would silence it). */
for (const form of document.querySelectorAll("form[data-theme-form]")) {
  form.addEventListener("submit", (event) => {
    const theme = event.submitter?.value;
    if (!theme) return;
    event.preventDefault();
    const body = new URLSearchParams(new FormData(form));
    body.set("theme", theme);
    body.delete("form_key"); // each press is a new deed, and a repeated one does no harm
    document.documentElement.dataset.theme = theme;
    fetch(form.action, { method: "POST", body, redirect: "manual", keepalive: true }).catch(() => {});
    form.querySelector(theme === "night" ? ".to-day" : ".to-night")?.focus();
  });
}
