/** Choosing files: a place to drop them, and one that was chosen. */
import { ActionIcon, FileButton, UnstyledButton } from "@mantine/core";
import { type DragEvent, useState } from "react";

import { bytes } from "../format";
import { useSpeech } from "../i18n";
import { Icon } from "../icons";
import css from "./files.module.css";

interface DropProps {
  /** Extensions, with commas between them; any file without. */
  accept?: string;
  multiple?: boolean;
  /** Beside files that were chosen already. */
  small?: boolean;
  title: string;
  formats: string;
  onFiles: (files: File[]) => void;
}

export function DropArea({ accept, multiple = false, small = false, title, formats, onFiles }: DropProps) {
  const { t } = useSpeech();
  const [over, setOver] = useState(false);
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    const files = [...event.dataTransfer.files];
    if (files.length) onFiles(multiple ? files : files.slice(0, 1));
  };
  const choose = (chosen: File[] | File | null) => chosen && onFiles(Array.isArray(chosen) ? chosen : [chosen]);
  return (
    <FileButton accept={accept} multiple={multiple} onChange={choose} inputProps={{ "aria-label": t("word.file") }}>
      {(props) => (
        <UnstyledButton
          {...props} className={css.drop} data-over={over} data-small={small} aria-label={t(multiple ? "files.chooseMany" : "import.choose")} onDrop={drop} onDragLeave={() => setOver(false)}
          onDragOver={(event) => {
            event.preventDefault();
            setOver(true);
          }}
        >
          {!small && <Icon name="upload" size={30} />}
          <b>{title}</b>
          {!small && <span>{t(multiple ? "files.dropOrMany" : "import.dropOr")}</span>}
          {!small && <small>{formats}</small>}
        </UnstyledButton>
      )}
    </FileButton>
  );
}

interface ChosenProps {
  file: File;
  /** What it is, or what it will be called. */
  note?: string;
  disabled?: boolean;
  onRemove: () => void;
}

export function ChosenFile({ file, note, disabled, onRemove }: ChosenProps) {
  const { t } = useSpeech();
  return (
    <div className={css.chosen}>
      <Icon name="file" size={24} style={{ color: "var(--accent)", flex: "none" }} />
      <div>
        <b>{file.name}</b>
        <small>{note ? `${bytes(file.size)} · ${note}` : bytes(file.size)}</small>
      </div>
      <ActionIcon variant="subtle" color="gray" aria-label={`${t("do.remove")} ${file.name}`} title={t("do.remove")} onClick={onRemove} disabled={disabled}>
        <Icon name="close" size={17} />
      </ActionIcon>
    </div>
  );
}
