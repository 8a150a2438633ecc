// Reads a code with the camera into a field: out of the live picture where the page may have one (https, or this very
// machine), else out of a photograph. The decoder is fetched when it is first wanted. Typing and hand scanners always work.

import type * as reader from "./reader";

type Decoder = typeof reader;

/** The decoder's bundle, beside this one; its name changes with its contents, so the build says it. */
declare const READER: string;

const LOOK_EVERY_MS = 150;
const PHOTO_LONGEST_PX = 2000;

interface Parts {
  dialog: HTMLDialogElement;
  view: HTMLVideoElement;
  said: HTMLElement;
  photo: HTMLInputElement;
}

export function offerCamera(page: Document): void {
  const parts = partsOf(page);
  if (!parts || typeof WebAssembly !== "object") {
    return;
  }
  for (const button of page.querySelectorAll<HTMLButtonElement>("button[data-camera]")) {
    button.hidden = false;
    button.addEventListener("click", () => void scan(parts, button));
  }
}

function partsOf(page: Document): Parts | null {
  const dialog = page.querySelector<HTMLDialogElement>("#camera");
  const view = dialog?.querySelector("video");
  const said = dialog?.querySelector<HTMLElement>("#camera-said");
  const photo = dialog?.querySelector<HTMLInputElement>("#camera-photo");
  return dialog && view && said && photo ? { dialog, view, said, photo } : null;
}

async function scan(parts: Parts, button: HTMLButtonElement): Promise<void> {
  const field = document.getElementById(button.dataset.camera ?? "");
  if (!(field instanceof HTMLInputElement)) {
    return;
  }
  const over = new AbortController();
  say(parts, "wait");
  parts.photo.value = "";
  parts.dialog.showModal();
  parts.dialog.addEventListener("close", () => over.abort(), { once: true });
  parts.dialog.querySelector<HTMLButtonElement>("[data-camera-close]")!.onclick = () => parts.dialog.close();
  const loading = (import(new URL(READER, import.meta.url).href) as Promise<Decoder>).catch(() => null);
  const live = await open(parts.view, over.signal).catch(() => false);
  parts.view.hidden = !live;
  if (!live) {
    say(parts, "refused");
  }
  const code = await firstCode(parts, await loading, live, over.signal);
  if (code !== null) {
    parts.dialog.close();
    take(code, field, button);
  }
}

function say(parts: Parts, what: "wait" | "refused" | "unread" | "away"): void {
  parts.said.textContent = parts.said.dataset[what] ?? "";
}

/** Shows the live picture until the dialog is over, and then lets the camera go. */
async function open(view: HTMLVideoElement, over: AbortSignal): Promise<boolean> {
  const video = { facingMode: "environment", width: { ideal: 1280 }, height: { ideal: 720 } };
  const stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
  const stop = () => stream.getTracks().forEach((track) => track.stop());
  over.addEventListener("abort", stop);
  if (over.aborted) {
    stop();
  }
  view.srcObject = stream;
  await view.play();
  return true;
}

/** The first code seen, live or on a photograph; null when the dialog was closed before, or nothing can be read here. */
async function firstCode(
  parts: Parts,
  decoder: Decoder | null,
  live: boolean,
  over: AbortSignal,
): Promise<string | null> {
  if (!decoder) {
    say(parts, "away");
    return null;
  }
  let taken = parts.photo.files?.[0];
  parts.photo.onchange = () => (taken = parts.photo.files?.[0]);
  while (!over.aborted) {
    const photo = taken;
    taken = undefined;
    const picture = photo ? await photograph(photo).catch(() => null) : live ? frame(parts.view) : null;
    const code = picture ? await decoder.read(picture).catch(() => (say(parts, "away"), null)) : null;
    if (over.aborted || code !== null) {
      return over.aborted ? null : code;
    }
    if (photo) {
      say(parts, "unread");
      parts.photo.value = "";
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
  return null;
}

async function photograph(file: File): Promise<ImageData | null> {
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(1, PHOTO_LONGEST_PX / Math.max(bitmap.width, bitmap.height));
  return pixels(bitmap, Math.round(bitmap.width * scale), Math.round(bitmap.height * scale));
}

function frame(view: HTMLVideoElement): ImageData | null {
  return pixels(view, view.videoWidth, view.videoHeight);
}

function pixels(source: CanvasImageSource, width: number, height: number): ImageData | null {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = width && height ? canvas.getContext("2d", { willReadFrequently: true }) : null;
  context?.drawImage(source, 0, 0, width, height);
  return context?.getImageData(0, 0, width, height) ?? null;
}

function take(code: string, field: HTMLInputElement, button: HTMLButtonElement): void {
  field.focus();
  field.value = code;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  if (button.dataset.send !== undefined) {
    field.form?.requestSubmit();
  }
}
