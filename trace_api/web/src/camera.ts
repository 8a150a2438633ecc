// Reads a code with the camera into a field, where the browser has BarcodeDetector and the page may use a camera (https, or
// this very machine). Elsewhere the button stays hidden: typing and hand scanners always work.

interface Detected {
  rawValue: string;
}
interface Detector {
  detect(source: HTMLVideoElement): Promise<Detected[]>;
}
interface DetectorClass {
  new (options: { formats: string[] }): Detector;
  getSupportedFormats(): Promise<string[]>;
}
declare global {
  interface Window {
    BarcodeDetector?: DetectorClass;
  }
}

const FORMATS = ["qr_code", "data_matrix", "code_128", "ean_13", "ean_8", "itf", "upc_a", "pdf417"];
const LOOK_EVERY_MS = 150;

export function offerCamera(page: Document): void {
  const dialog = page.querySelector<HTMLDialogElement>("#camera");
  const found = window.BarcodeDetector;
  if (!dialog || !found || !isSecureContext || !navigator.mediaDevices?.getUserMedia) {
    return;
  }
  for (const button of page.querySelectorAll<HTMLButtonElement>("button[data-camera]")) {
    button.hidden = false;
    button.addEventListener("click", () => void scan(dialog, found, button));
  }
}

async function scan(dialog: HTMLDialogElement, found: DetectorClass, button: HTMLButtonElement): Promise<void> {
  const field = document.getElementById(button.dataset.camera ?? "");
  const said = dialog.querySelector<HTMLElement>("#camera-said");
  const view = dialog.querySelector<HTMLVideoElement>("video");
  if (!(field instanceof HTMLInputElement) || !said || !view) {
    return;
  }
  said.textContent = said.dataset.wait ?? "";
  dialog.showModal();
  dialog.querySelector<HTMLButtonElement>("[data-camera-close]")!.onclick = () => dialog.close();
  const stream = await open(view).catch(() => null);
  if (!stream) {
    said.textContent = said.dataset.refused ?? "";
    return;
  }
  const code = await look(await detector(found), view, dialog);
  stream.getTracks().forEach((track) => track.stop());
  view.srcObject = null;
  dialog.close();
  field.focus();
  if (code !== null) {
    field.value = code;
    field.dispatchEvent(new Event("input", { bubbles: true }));
    if (button.dataset.send !== undefined) {
      field.form?.requestSubmit();
    }
  }
}

async function open(view: HTMLVideoElement): Promise<MediaStream> {
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" }, audio: false });
  view.srcObject = stream;
  await view.play();
  return stream;
}

async function detector(found: DetectorClass): Promise<Detector> {
  const known = await found.getSupportedFormats();
  return new found({ formats: FORMATS.filter((format) => known.includes(format)) });
}

/** The first code seen; null when the dialog was closed before. */
async function look(reader: Detector, view: HTMLVideoElement, dialog: HTMLDialogElement): Promise<string | null> {
  while (dialog.open) {
    const seen = await reader.detect(view).catch(() => []);
    const code = seen.find((each) => each.rawValue !== "");
    if (code) {
      return code.rawValue;
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
  return null;
}
