import { defineConfig } from "vite";

// esbuild, which Vite comes with, knows JSX: no plugin is needed to build.
export default defineConfig({ esbuild: { jsx: "automatic" } });
