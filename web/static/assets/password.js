// Shows and hides what is typed into a password field, and counts what a new password still lacks. The button is in the page but
// hidden, because without this script it would do nothing.
for (const toggle of document.querySelectorAll("button[data-reveals]")) {
  const field = document.getElementById(toggle.dataset.reveals);
  if (!field) continue;
  const show = (visible) => {
    field.type = visible ? "text" : "password";
    toggle.setAttribute("aria-pressed", String(visible));
  };
  toggle.hidden = false;
  toggle.addEventListener("click", () => {
    show(field.type === "password");
    field.focus({ preventScroll: true });
  });
  field.form?.addEventListener("submit", () => show(false));
  window.addEventListener("pageshow", () => show(false));
}

for (const meter of document.querySelectorAll("[data-counts]")) {
  const field = document.getElementById(meter.dataset.counts);
  const least = Number(field?.minLength);
  if (!field || !(least > 0)) continue;
  let timer = 0;
  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => { meter.textContent = verdict([...field.value].length, least); }, 400);
  });
}

function verdict(length, least) {
  if (length === 0) return "";
  const missing = least - length;
  if (missing > 0) return missing === 1 ? "1 more character" : `${missing} more characters`;
  return "Long enough";
}
