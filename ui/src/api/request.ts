/** One way to the server: JSON in, JSON out, and every failure as an ApiError with one sentence. */
import type { ErrorBody, Run } from "./types";

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly requestId: string | null = null,
  ) {
    super(message);
    this.name = "ApiError";
  }
}

export type Query = Record<string, string | number | boolean | string[] | null | undefined>;

let project = "default";

/** Choose the project that every later request speaks about. */
export function setProject(name: string): void {
  project = name;
}

/** Address of a path under /v1 with its query; empty values are left out. */
export function address(path: string, query: Query = {}): string {
  const search = new URLSearchParams();
  if (project !== "default") search.set("project", project);
  for (const [key, value] of Object.entries(query)) {
    if (Array.isArray(value)) value.forEach((one) => search.append(key, one));
    else if (value !== null && value !== undefined && value !== "") search.set(key, String(value));
  }
  const text = search.toString();
  return `/v1${path}${text ? `?${text}` : ""}`;
}

/** The ApiError that a refused answer means, whatever its body looks like. */
export function toApiError(status: number, body: string, fallback: string): ApiError {
  try {
    const { error } = JSON.parse(body) as ErrorBody;
    if (error?.message) return new ApiError(status, error.code, error.message, error.request_id ?? null);
  } catch {
    // A proxy in between may answer in its own words.
  }
  return new ApiError(status, status === 0 ? "unreachable" : "internal", `${fallback}${status ? ` (HTTP ${status})` : ""}`);
}

/**
 * A message of the platform without the command of the terminal, or the file, that it ends with: it is written for every door, and on the page
 * there is a button instead. "… See: lepton models list" goes as a whole, of "Make one with: lepton tokens create" the first words stay.
 */
export function withoutCommand(message: string): string {
  const kept = message
    .replace(/ \(--[a-z][a-z-]*\)/g, "")
    .replace(/(?:^|\s+)See[^.:'"]*: (?:lepton |docs\/)[^'"]*$/, "")
    .replace(/(?:,? then|,? with)?: lepton [^'"]*$/, ".");
  return kept || message;
}

/** One sentence for a person, from anything that was thrown. Every error on the page gets its text here. */
export function sentenceOf(error: unknown): string {
  return withoutCommand(error instanceof Error ? error.message : String(error));
}

const UNREACHABLE = "The platform did not answer. Check that it runs: lepton status";
const REFUSED = "The platform could not do this";

interface Options {
  query?: Query;
  body?: unknown;
  /** Sent as it is, instead of a body of JSON. */
  raw?: string;
  signal?: AbortSignal;
}

async function send(method: string, path: string, { query, body, raw, signal }: Options): Promise<Response> {
  let answer: Response;
  const type = raw !== undefined ? "application/octet-stream" : body !== undefined ? "application/json" : null;
  try {
    answer = await fetch(address(path, query), {
      method,
      signal,
      headers: { Accept: "application/json", ...(type && { "Content-Type": type }) },
      body: raw ?? (body === undefined ? undefined : JSON.stringify(body)),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "unreachable", UNREACHABLE);
  }
  if (!answer.ok) throw toApiError(answer.status, await answer.text(), REFUSED);
  return answer;
}

export async function request<T>(method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE", path: string, options: Options = {}): Promise<T> {
  const answer = await send(method, path, options);
  return (answer.status === 204 ? undefined : await answer.json()) as T;
}

/** Submit a command again, with the folder of an earlier run and whatever else is not said. */
export function submitLike(changes: { like: string } & Record<string, unknown>): Promise<Run> {
  return request<Run>("POST", "/runs/submit", { raw: `${JSON.stringify(changes)}\n` });
}

/** Read a file. */
export async function content(path: string, signal: AbortSignal): Promise<ArrayBuffer> {
  return (await send("GET", path, { signal })).arrayBuffer();
}

/** Send a file as the raw body; `onProgress` hears the sent share, 0 to 1. */
export function upload<T>(path: string, file: Blob, query: Query, onProgress: (share: number) => void, signal?: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const sender = new XMLHttpRequest();
    sender.open("POST", address(path, query));
    sender.setRequestHeader("Content-Type", "application/octet-stream");
    sender.setRequestHeader("Accept", "application/json");
    sender.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    sender.onload = () =>
      sender.status < 300 ? resolve(JSON.parse(sender.responseText) as T) : reject(toApiError(sender.status, sender.responseText, REFUSED));
    sender.onerror = () => reject(new ApiError(0, "unreachable", UNREACHABLE));
    sender.onabort = () => reject(new DOMException("aborted", "AbortError"));
    signal?.addEventListener("abort", () => sender.abort());
    sender.send(file);
  });
}

/** Fetch a file and hand it to the browser to save; returns the columns that were left out. */
export async function download(path: string, query: Query, fileName: string): Promise<string[]> {
  const answer = await send("GET", path, { query });
  const url = URL.createObjectURL(await answer.blob());
  const link = document.createElement("a");
  link.href = url;
  link.download = fileName;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
  return (answer.headers.get("X-Lepton-Masked") ?? "").split(",").filter(Boolean).map(decodeURIComponent);
}
