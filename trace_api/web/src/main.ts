// What the page loads. `verifyEvidence` is exported for whoever wants to check a file of their own in the same way.

import { checkPage } from "./page";

export { VerifyError } from "./errors";
export { readTrust } from "./trust";
export { verifyEvidence } from "./verify";

if (document.readyState === "loading") {
  document.addEventListener("DOMContentLoaded", () => void checkPage(document));
} else {
  void checkPage(document);
}
