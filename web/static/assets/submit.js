// Lets each form be sent once. The buttons are disabled only after the browser has collected the fields, so that the name and value
// of the pressed button are sent too; they come back when the person does, or when no new page arrived.
import { say } from "./live.js";

const patience = 10000; // milliseconds; a redirect to a native app leaves this page where it is
const sent = new WeakMap();

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (sent.has(form)) {
    event.preventDefault();
    return;
  }
  const pressed = event.submitter;
  sent.set(form, { pressed, words: pressed?.textContent, timer: 0 });
  setTimeout(() => hold(form), 0);
});

window.addEventListener("pageshow", (event) => {
  if (event.persisted) for (const form of document.forms) release(form);
});

// Firefox keeps a disabled button disabled across a reload.
for (const form of document.forms) for (const button of buttons(form)) button.disabled = false;

function buttons(form) {
  return [...document.querySelectorAll("button")].filter((b) => b.form === form && b.type === "submit");
}

function hold(form) {
  const state = sent.get(form);
  if (!state) return;
  for (const button of buttons(form)) button.disabled = true;
  const busy = state.pressed?.dataset.busy;
  if (busy) {
    state.pressed.textContent = busy;
    say(busy);
  }
  state.pressed?.setAttribute("aria-busy", "true");
  state.timer = setTimeout(() => release(form), patience);
}

function release(form) {
  const state = sent.get(form);
  if (!state) return;
  sent.delete(form);
  clearTimeout(state.timer);
  for (const button of buttons(form)) button.disabled = false;
  if (!state.pressed) return;
  state.pressed.removeAttribute("aria-busy");
  if (state.pressed.dataset.busy) state.pressed.textContent = state.words;
}
