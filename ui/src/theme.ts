/** Colours, type and spacing for Mantine; the pages' own tokens are in styles.css. */
import { createTheme, type MantineColorsTuple } from "@mantine/core";

const petrol: MantineColorsTuple = [
  "#e9f7f5", "#d3ece9", "#a6d9d3", "#75c5bc", "#4cb3a8", "#2fa699", "#189688", "#0a7d72", "#066a60", "#00574f",
];
const ember: MantineColorsTuple = [
  "#fff3e6", "#ffe5cd", "#fcc99b", "#f9ac65", "#f79338", "#f5831b", "#ea7208", "#c95e02", "#a54c00", "#833b00",
];
const dark: MantineColorsTuple = [
  "#d9e0df", "#b6c0c0", "#8e9b9c", "#6d7a7c", "#3c474a", "#2e383b", "#20292b", "#151c1e", "#101617", "#0a0f10",
];
const gray: MantineColorsTuple = [
  "#f7f9f8", "#f0f3f2", "#e5e9e8", "#d8dedc", "#c5cdcb", "#a3adab", "#7c8886", "#57625f", "#38423f", "#1d2523",
];

const SANS = "'Inter Variable', 'PingFang SC', 'Microsoft YaHei', 'Noto Sans SC', 'Noto Sans CJK SC', 'WenQuanYi Micro Hei', system-ui, sans-serif";
const MONO = "ui-monospace, 'SF Mono', 'Cascadia Mono', 'JetBrains Mono', Menlo, Consolas, 'Liberation Mono', monospace";

export const theme = createTheme({
  primaryColor: "petrol",
  primaryShade: { light: 7, dark: 7 },
  colors: { petrol, ember, dark, gray },
  white: "#ffffff",
  black: "#182020",
  fontFamily: SANS,
  fontFamilyMonospace: MONO,
  headings: { fontFamily: SANS, fontWeight: "640", sizes: { h1: { fontSize: "1.625rem", lineHeight: "1.25" }, h2: { fontSize: "1.0625rem" } } },
  fontSizes: { xs: "12px", sm: "13.5px", md: "14px", lg: "16px", xl: "18px" },
  defaultRadius: "md",
  radius: { xs: "4px", sm: "6px", md: "8px", lg: "12px", xl: "18px" },
  cursorType: "pointer",
  respectReducedMotion: true,
  components: {
    Modal: { defaultProps: { centered: true, radius: "lg", overlayProps: { backgroundOpacity: 0.45, blur: 3 } } },
    Tooltip: { defaultProps: { withArrow: true, openDelay: 250 } },
    Table: { defaultProps: { verticalSpacing: "sm", horizontalSpacing: "md" } },
    Button: { defaultProps: { fw: 550 } },
  },
});
