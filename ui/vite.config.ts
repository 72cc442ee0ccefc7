import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// The development server hands /v1 to a platform started with `lepton up`.
const platform = "http://127.0.0.1:7070";

export default defineConfig({
  plugins: [react()],
  build: { target: "es2022", license: { fileName: "licenses.md" }, reportCompressedSize: false, chunkSizeWarningLimit: 800 },
  server: {
    proxy: {
      "/v1": {
        target: platform,
        changeOrigin: true,
        headers: { origin: platform },
      },
    },
  },
});
