/** Language and colour scheme; both are remembered by the browser. */
import { SegmentedControl, useMantineColorScheme } from "@mantine/core";

import { type Language, useSpeech } from "../i18n";
import { Icon, type IconName } from "../icons";

export function LanguageSwitch() {
  const { t, language, setLanguage } = useSpeech();
  return (
    <SegmentedControl
withItemsBorders={false}       fullWidth size="xs" aria-label={t("pref.language")} value={language} onChange={(next) => setLanguage(next as Language)}
      data={[{ value: "en", label: "English" }, { value: "zh", label: "简体中文" }]}
    />
  );
}

const SCHEMES: { value: "light" | "dark" | "auto"; icon: IconName }[] = [
  { value: "light", icon: "sun" },
  { value: "dark", icon: "moon" },
  { value: "auto", icon: "auto" },
];

export function ColorSwitch() {
  const { t } = useSpeech();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <SegmentedControl
withItemsBorders={false}       fullWidth size="xs" aria-label={t("pref.colors")} value={colorScheme} onChange={(next) => setColorScheme(next as typeof colorScheme)}
      data={SCHEMES.map(({ value, icon }) => ({
        value,
        label: (
          <span style={{ display: "flex", alignItems: "center", justifyContent: "center", gap: 5 }}>
            <Icon name={icon} size={14} /> {t(`pref.${value}`)}
          </span>
        ),
      }))}
    />
  );
}
