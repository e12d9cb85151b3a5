// Puts the cursor into the first field on wide screens only: on a phone the keyboard would cover the other ways to sign in.
const field = document.querySelector("[data-first]");
const free = !document.activeElement || document.activeElement === document.body;

if (field && free && !location.hash && matchMedia("(min-width: 768px)").matches) {
  field.focus({ preventScroll: true });
}
