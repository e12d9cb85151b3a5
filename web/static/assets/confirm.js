// Asks before what cannot be undone, naming what it is about. Without this script, or without <dialog>, the button does it at once.
const dialog = document.getElementById("confirm");
const yes = document.getElementById("confirm-yes");
let asked = null;

if (dialog?.showModal) {
  for (const button of document.querySelectorAll("button[data-confirm]")) {
    button.addEventListener("click", (event) => {
      event.preventDefault();
      asked = button;
      document.getElementById("confirm-title").textContent = button.dataset.confirm;
      document.getElementById("confirm-text").textContent = button.dataset.explain;
      yes.textContent = button.dataset.yes ?? button.textContent;
      dialog.showModal();
    });
  }
  document.getElementById("confirm-no").addEventListener("click", () => dialog.close());
  yes.addEventListener("click", () => {
    dialog.close();
    // By the form's own submit event, so that it is sent once and says so.
    asked?.form.requestSubmit(asked);
  });
}
