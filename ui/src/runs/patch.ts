/** A patch as git writes it, line by line. Pure. */

export type PatchKind = "file" | "place" | "added" | "removed" | "about" | "same";

export interface PatchLine {
  kind: PatchKind;
  text: string;
}

export interface Patch {
  lines: PatchLine[];
  files: number;
  added: number;
  removed: number;
}

const HUNK = /^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@/;

/** Read a patch; inside of a hunk, whose length it tells, what begins with + or - is content, also where it looks like a head. */
export function readPatch(text: string): Patch {
  let [old, now] = [0, 0];
  const patch: Patch = { lines: [], files: 0, added: 0, removed: 0 };
  const put = (kind: PatchKind, line: string) => patch.lines.push({ kind, text: line });
  for (const line of text.replace(/\n$/, "").split("\n")) {
    if (old > 0 || now > 0) {
      const sign = line[0];
      if (sign === "+") {
        now -= 1;
        patch.added += 1;
        put("added", line);
      } else if (sign === "-") {
        old -= 1;
        patch.removed += 1;
        put("removed", line);
      } else if (sign === "\\") {
        put("about", line);
      } else {
        old -= 1;
        now -= 1;
        put("same", line);
      }
      continue;
    }
    const hunk = HUNK.exec(line);
    if (hunk) {
      old = Number(hunk[1] ?? 1);
      now = Number(hunk[2] ?? 1);
      put("place", line);
    } else if (line.startsWith("diff --git ")) {
      patch.files += 1;
      put("file", line.slice("diff --git ".length));
    } else if (line !== "") {
      put("about", line);
    }
  }
  return patch;
}
