/** A dialog with a heading and a named button to close it. */
import { Modal } from "@mantine/core";
import type { ReactNode } from "react";

import { useSpeech } from "../i18n";

interface DialogProps {
  opened: boolean;
  onClose: () => void;
  title: string;
  size?: number;
  children: ReactNode;
}

export function Dialog({ title, children, ...rest }: DialogProps) {
  const { t } = useSpeech();
  return (
    <Modal title={<b>{title}</b>} closeButtonProps={{ "aria-label": t("do.closeDialog") }} {...rest}>
      {children}
    </Modal>
  );
}
