// Rewrites times, which the server writes in UTC, to the time zone and language of the person. The UTC text stays as a tooltip.
const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

for (const element of document.querySelectorAll("time[datetime]")) {
  const at = new Date(element.dateTime);
  if (Number.isNaN(at.getTime())) continue;
  element.title = element.textContent.trim();
  element.textContent = format.format(at);
}
