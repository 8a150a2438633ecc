// The working pages' script. Every form works without it; it only keeps a second tap from sending a form twice, leads to
// what went wrong, and reads codes with the camera.

import { offerCamera } from "./camera";

function sendOnce(form: HTMLFormElement): void {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent !== undefined) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "";
    // Later than this event: a button that is disabled now would leave its own value out of what is sent.
    setTimeout(() => {
      for (const button of form.querySelectorAll<HTMLButtonElement>("button[type=submit]")) {
        button.setAttribute("aria-disabled", "true");
        if (button === event.submitter && button.dataset.busy) {
          button.dataset.label = button.textContent ?? "";
          button.textContent = button.dataset.busy;
        }
      }
    }, 0);
  });
}

/** A page that comes back out of the browser's memory ("back") has to work again. */
function ready(form: HTMLFormElement): void {
  delete form.dataset.sent;
  for (const button of form.querySelectorAll<HTMLButtonElement>("button[aria-disabled]")) {
    button.removeAttribute("aria-disabled");
    if (button.dataset.label !== undefined) {
      button.textContent = button.dataset.label;
      delete button.dataset.label;
    }
  }
}

for (const form of document.querySelectorAll<HTMLFormElement>("form[method=post]")) {
  sendOnce(form);
  addEventListener("pageshow", () => ready(form));
}
document.querySelector<HTMLElement>("[data-focus]")?.focus();
offerCamera(document);

// A picture larger than its window begins at what was asked about.
const seed = document.querySelector<SVGElement>(".scroll .seed");
const view = seed?.closest(".scroll");
if (seed && view) {
  const [inner, outer] = [seed.getBoundingClientRect(), view.getBoundingClientRect()];
  view.scrollLeft += inner.left + inner.width / 2 - outer.left - outer.width / 2;
  view.scrollTop += inner.top + inner.height / 2 - outer.top - outer.height / 2;
}
