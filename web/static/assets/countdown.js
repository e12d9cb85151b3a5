// Counts down the wait the server asked for, in words. The alert has been read out once; the ticking is silent, its end is not.
import { say } from "./live.js";

for (const element of document.querySelectorAll("[data-wait]")) {
  const until = Date.now() + Number(element.dataset.wait) * 1000;
  const notice = element.closest("[role=alert]");
  const timer = setInterval(() => {
    const left = Math.ceil((until - Date.now()) / 1000);
    notice?.removeAttribute("role");
    if (left > 0) {
      element.textContent = words(left);
      return;
    }
    clearInterval(timer);
    element.parentElement.textContent = "You can try again now.";
    say("You can try again now.");
  }, 1000);
}

// The same words as the server's: seconds below a minute, else minutes, else hours, rounded up.
function words(seconds) {
  if (seconds < 60) return count(seconds, "second");
  if (seconds <= 5400) return count(Math.ceil(seconds / 60), "minute");
  return count(Math.ceil(seconds / 3600), "hour");
}

function count(n, unit) {
  return n === 1 ? `1 ${unit}` : `${n} ${unit}s`;
}
