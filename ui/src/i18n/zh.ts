import { type Dictionary, en } from "./en";
export const zh: Dictionary = en;
