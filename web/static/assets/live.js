// Says a short text to people who listen to the page. Empty text first, so that the same words are announced twice.
export function say(text) {
  const live = document.getElementById("live");
  if (!live) return;
  live.textContent = "";
  setTimeout(() => { live.textContent = text; }, 50);
}
