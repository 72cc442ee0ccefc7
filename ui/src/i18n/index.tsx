/** The chosen language and `t`, which turns a key into a sentence of it. */
import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useState } from "react";

import { type Dictionary, en, type Key } from "./en";
import { zh } from "./zh";

export type Language = "en" | "zh";
export type Values = Record<string, string | number>;
export type Translate = (key: Key, values?: Values) => string;

export const DICTIONARIES: Record<Language, Dictionary> = { en, zh };
const TAGS: Record<Language, string> = { en: "en", zh: "zh-CN" };
const STORED = "lepton-language";

/** Fill `{name}` and `{n|one|many}` in a text. */
export function fill(text: string, values: Values, tag = "en"): string {
  return text.replace(/\{(\w+)(?:\|([^|{}]*)\|([^|{}]*))?\}/g, (whole, name: string, one?: string, many?: string) => {
    const value = values[name];
    if (value === undefined) return whole;
    if (one !== undefined) return (value === 1 ? one : many) ?? "";
    return typeof value === "number" ? new Intl.NumberFormat(tag).format(value) : value;
  });
}

/** The text of a word the server may add later: its own spelling when no key has it. */
export function isKey(key: string): key is Key {
  return Object.hasOwn(en, key);
}

function remembered(): Language {
  try {
    const stored = localStorage.getItem(STORED);
    if (stored === "en" || stored === "zh") return stored;
  } catch {
    // Storage may be refused; the browser's language decides then.
  }
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}

interface Speech {
  language: Language;
  /** Language tag for Intl. */
  tag: string;
  t: Translate;
  /** Translate a key made of a prefix and a word of the server's, or show the word. */
  say: (prefix: string, word: string) => string;
  setLanguage: (language: Language) => void;
}

const SpeechContext = createContext<Speech | null>(null);

export function SpeechProvider({ children }: { children: ReactNode }) {
  const [language, choose] = useState<Language>(remembered);
  const tag = TAGS[language];

  useEffect(() => {
    document.documentElement.lang = tag;
  }, [tag]);

  const setLanguage = useCallback((next: Language) => {
    choose(next);
    try {
      localStorage.setItem(STORED, next);
    } catch {
      // Not remembered, but used.
    }
  }, []);

  const speech = useMemo<Speech>(() => {
    const t: Translate = (key, values) => (values ? fill(DICTIONARIES[language][key], values, tag) : DICTIONARIES[language][key]);
    const say = (prefix: string, word: string) => {
      const key = `${prefix}.${word}`;
      if (isKey(key)) return t(key);
      const plain = word.replaceAll("_", " ");
      return plain.charAt(0).toUpperCase() + plain.slice(1);
    };
    return { language, tag, t, say, setLanguage };
  }, [language, tag, setLanguage]);

  return <SpeechContext.Provider value={speech}>{children}</SpeechContext.Provider>;
}

export function useSpeech(): Speech {
  const speech = useContext(SpeechContext);
  if (!speech) throw new Error("useSpeech needs a SpeechProvider around it");
  return speech;
}
