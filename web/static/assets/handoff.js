// Sends the hand-off form without waiting for the button. It goes through the form's own submit event, so that a person who presses
// the button at the same moment does not send it twice; and through the prototype, because a field may be named like the method.
import "./submit.js";

const form = document.getElementById("handoff");
if (form) HTMLFormElement.prototype.requestSubmit.call(form);
