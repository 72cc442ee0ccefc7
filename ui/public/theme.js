// Before the first paint: the remembered colour scheme and language, so that nothing flashes.
(function () {
  var root = document.documentElement;
  var scheme = "auto";
  try {
    scheme = localStorage.getItem("mantine-color-scheme-value") || "auto";
    root.lang = localStorage.getItem("lepton-language") === "zh" ? "zh-CN" : root.lang;
  } catch (_) {
    // A browser that refuses storage still gets a page.
  }
  var dark = scheme === "dark" || (scheme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  root.setAttribute("data-mantine-color-scheme", dark ? "dark" : "light");
})();
